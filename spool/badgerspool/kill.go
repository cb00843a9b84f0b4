package badgerspool

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	badger "github.com/dgraph-io/badger/v4"

	"sealpost/internal/id"
	"sealpost/spool"
	"sealpost/spool/badgerspool/queue"
)

// Kill implements spool.Admin. It works in steps; after an interruption the next call continues.
func (s *Spool) Kill(ctx context.Context, name, code string) (int, error) {
	if !isValidName(name) || code == "" || len(code) > maxCode {
		return 0, fmt.Errorf("kill %.80q: %w", name, spool.ErrInvalid)
	}
	if err := s.enter(); err != nil {
		return 0, err
	}
	defer s.leave()
	killed, err := s.killQueue(ctx, s.queue(name), killing{code: code, keeps: true})
	if err != nil {
		return killed, fmt.Errorf("kill %s: %w", name, err)
	}
	return killed, nil
}

// Expire implements spool.Admin. It works like Kill, but reads only deliveries from the hours
// before the bound, and those that were released.
func (s *Spool) Expire(ctx context.Context, name string, bound spool.Bound,
	code string) (int, error) {
	if !isValidName(name) || code == "" || len(code) > maxCode || bound.Attempts < 0 {
		return 0, fmt.Errorf("expire in %.80q: %w", name, spool.ErrInvalid)
	}
	if err := s.enter(); err != nil {
		return 0, err
	}
	defer s.leave()
	q, expired := s.queue(name), 0
	isOld, err := s.mayExpire(q, bound.Before)
	if last, found := s.hours.last(math.MaxUint64, time.Time{}, bound.Before); found && isOld {
		expired, err = s.killQueue(ctx, q, killing{code: code, keeps: true, sparesLeased: true,
			before: bound.Before, last: last})
	}
	if bound.Attempts > 0 && err == nil {
		var n int
		n, err = s.killQueue(ctx, q,
			killing{code: code, keeps: true, sparesLeased: true, attempts: bound.Attempts})
		expired += n
	}
	if err != nil {
		return expired, fmt.Errorf("expire in %s: %w", name, err)
	}
	return expired, nil
}

// mayExpire reports whether a delivery of a queue may have waited since before a time. Of many that
// rest it reads no more than the first.
func (s *Spool) mayExpire(q *storedQueue, before time.Time) (bool, error) {
	if f, _ := q.load(); before.IsZero() || f.waiting == 0 {
		return false, nil
	} else if f.released > maxResting {
		return true, nil
	}
	var ages time.Time
	err := s.view(func(txn *badger.Txn) (err error) {
		_, ages, err = q.oldest(txn)
		return err
	})
	return !ages.IsZero() && ages.Before(before), err
}

// killing selects the waiting deliveries of a queue that become dead.
type killing struct {
	sender       id.Site   // of the envelopes; "": any
	before       time.Time // when they were spooled; zero: any time
	last         uint64    // none of them was published later; 0: any may be
	attempts     int       // at least so many
	sparesLeased bool      // and those on hold
	code         string
	keeps        bool // they become dead letters
}

// isOld reports whether a delivery has waited since before the bound.
func (k killing) isOld(en entry, e *envelope) bool {
	since := e.spooled
	if en.since != 0 {
		since = time.UnixMilli(en.since)
	}
	return k.before.IsZero() || since.Before(k.before)
}

// KillFrom implements spool.Admin. It works like Kill, queue by queue.
func (s *Spool) KillFrom(ctx context.Context, sender id.Site, code string) (killed int, err error) {
	if !isValidSite(sender) || code == "" || len(code) > maxCode {
		return 0, fmt.Errorf("kill from %.80q: %w", sender, spool.ErrInvalid)
	}
	if err := s.enter(); err != nil {
		return 0, err
	}
	defer s.leave()
	if _, err = s.discard(ctx, func(l letter) bool { return l.sender == sender }); err != nil {
		return 0, fmt.Errorf("discard the dead letters of %s: %w", sender, err)
	}
	for _, q := range all(s, s.queues) {
		if s.site(sender).load().waiting.Envelopes == 0 {
			break
		}
		n, err := s.killQueue(ctx, q, killing{sender: sender, code: code})
		killed += n
		if err != nil {
			return killed, fmt.Errorf("kill from %s: %w", sender, err)
		}
	}
	return killed, nil
}

// killQueue kills waiting deliveries of a queue.
func (s *Spool) killQueue(ctx context.Context, q *storedQueue, k killing) (killed int, err error) {
	f, _ := q.load()
	last := f.last
	if k.last != 0 {
		last = min(last, k.last)
	}
	orders := []queue.Order{queue.BySequence, queue.ByTime}
	if k.attempts > 0 {
		orders = orders[1:] // only those that were released
	}
	for _, o := range orders {
		for _, at := range q.Waiting(o) {
			if k.sender != "" && at.From != k.sender {
				continue
			}
			n, err := s.killLine(ctx, q, o, at, last, k)
			killed += n
			if err != nil {
				return killed, err
			}
		}
	}
	return killed, nil
}

// killLine kills the deliveries of a sender in one order. A delivery that is released meanwhile
// appears in the second order.
func (s *Spool) killLine(ctx context.Context, q *storedQueue, o queue.Order, from queue.Position,
	last uint64, k killing) (killed int, err error) {
	for {
		places, err := s.waitingFrom(q, o, from, last, k)
		if err != nil || len(places) == 0 {
			return killed, err
		}
		n, err := s.killStep(ctx, places, k)
		killed += n
		if err != nil {
			return killed, err
		}
		from = places[len(places)-1].Position
		from.Seq++
	}
}

const killStep = 256 // deliveries in one change

// place is a waiting delivery of a queue, with its envelope.
type place struct {
	queue.Position
	end ending
}

// waitingFrom reads up to killStep waiting deliveries of a sender to kill, from a place on. It
// leaves out those published after last.
func (s *Spool) waitingFrom(q *storedQueue, o queue.Order, from queue.Position, last uint64,
	k killing) (places []place, err error) {
	err = s.view(func(txn *badger.Txn) error {
		return deliveries{txn, q.name}.Scan(o, from,
			func(p queue.Position, value []byte) (bool, error) {
				if k.sparesLeased && p.Due == queue.Held {
					return false, nil // the last ones
				}
				if p.Seq > last {
					return o == queue.ByTime, nil
				}
				en, err := decodeEntry(value)
				if err != nil || en.attempts < k.attempts {
					return err == nil, err
				}
				e, err := readEnvelope(txn, p.From, p.Seq)
				if err != nil || !k.isOld(en, e) {
					return err == nil, err
				}
				end := s.ending(e, en.target)
				end.keeps = k.keeps
				places = append(places, place{p, end})
				return len(places) < killStep, nil
			})
	})
	return places, err
}

// killStep makes dead the deliveries that still wait.
func (s *Spool) killStep(ctx context.Context, places []place, k killing) (int, error) {
	killed := 0
	c := &change{ctx: ctx, need: needFloor, entries: 12 * len(places),
		bytes: len(places) * (8*(entryCost+96) + auditBytes)}
	c.apply = func(g *group) error {
		for _, p := range places {
			old, err := p.end.begin(g)
			if errors.Is(err, spool.ErrNotFound) {
				continue // final, and forgotten meanwhile
			}
			if err != nil {
				return err
			}
			if old.isFinal() || k.sparesLeased && (old.isHeld() ||
				p.end.queue.IsLeased(p.Position, s.opts.Now())) {
				continue
			}
			if err := p.end.finish(g, old, &delivery{state: stateDead, code: k.code}); err != nil {
				return err
			}
			killed++
		}
		return nil
	}
	if err := s.submit(c); err != nil {
		return 0, err
	}
	return killed, nil
}
