package outbox

import (
	"context"
	"errors"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"sealpost/agent/ledger"
	"sealpost/hub/api"
	"sealpost/internal/backoff"
	"sealpost/internal/words"
)

const (
	smallSealers = 4
	largeSealers = 2

	// smallContent is the largest file that goes the small way: sealed in memory, together with others if some wait. With
	// the wrapped keys of 64 recipients and the rest of the format it stays below api.SmallSize.
	smallContent = ledger.Small
)

// lane seals the messages of one size class, so that small ones never wait behind large ones. It takes the oldest message
// and those behind it with the same address as far as they fit into one envelope; nothing waits for company.
type lane struct {
	o       *Outbox
	small   bool
	workers int
	more    chan struct{}
	jobs    chan job

	// The dispatcher's: what waits up to this number for an address was handed out, so that it is not read again each time.
	passed map[string]int64
	since  time.Time // when it began to pass anything
}

// job is one envelope to make.
type job struct {
	decision *decision
	messages []ledger.Outgoing
}

func newLane(o *Outbox, small bool, workers int) *lane {
	return &lane{o: o, small: small, workers: workers, more: make(chan struct{}, 1), jobs: make(chan job), passed: map[string]int64{}}
}

// passedFor is how long a lane relies on what it has passed, while there is always more: something may wait again there, or
// come due.
const passedFor = time.Second

// afresh makes the lane look at everything again, and says whether it had passed anything.
func (l *lane) afresh() bool {
	passed := len(l.passed) > 0
	clear(l.passed)
	l.since = time.Now()
	return passed
}

func (l *lane) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for range l.workers {
		g.Go(func() error {
			for {
				select {
				case <-ctx.Done():
					return nil
				case j := <-l.jobs:
					if err := l.o.send(ctx, j); err != nil {
						return ignoreCancel(ctx, err)
					}
					poke(l.more)
				}
			}
		})
	}
	g.Go(func() error { return l.dispatch(ctx) })
	return g.Wait()
}

// dispatch hands out what waits, address by address, and sleeps when there is nothing that may be sent.
func (l *lane) dispatch(ctx context.Context) error {
	pause := backoff.Backoff{Min: 200 * time.Millisecond, Max: 15 * time.Second}
	for ctx.Err() == nil {
		if time.Since(l.since) > passedFor {
			l.afresh()
		}
		handed, err := l.round(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errLedger):
			return err
		case err != nil:
			l.o.log.Warn("the hub gives no route; trying again", "error", err)
			if pause.Wait(ctx, api.RetryAfter(err)) != nil {
				return nil
			}
			continue
		case handed:
			pause.Reset()
			continue
		case l.afresh():
			continue
		}
		idle, err := l.idle(ctx)
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-l.more:
		case <-time.After(idle):
		}
	}
	return nil
}

// idle is how long there is nothing to do unless somebody says so: until the next message that is held comes due.
func (l *lane) idle(ctx context.Context) (time.Duration, error) {
	var next time.Time
	now := time.Now()
	err := l.o.view(ctx, func(tx *ledger.Tx) (err error) { next, err = tx.NextDue(now); return err })
	if err != nil || next.IsZero() {
		return blockedAgain, ignoreCancel(ctx, err)
	}
	return min(next.Sub(now), blockedAgain), nil
}

var errLedger = errors.New(words.LedgerUnreadable)

// round hands out at most one job per address, and says whether there was any.
func (l *lane) round(ctx context.Context) (handed bool, err error) {
	var addresses []string
	if err := l.o.view(ctx, func(tx *ledger.Tx) (err error) { addresses, err = tx.Addresses(); return err }); err != nil {
		return false, err
	}
	for _, a := range addresses {
		list, err := l.next(ctx, a)
		if err != nil {
			return handed, err
		}
		if len(list) == 0 {
			continue
		}
		d, err := l.o.routes.decide(ctx, a)
		if err != nil {
			return handed, err
		}
		if d.unknown != "" {
			if err := l.o.giveUp(ctx, list, d.unknown); err != nil {
				return handed, err
			}
			handed = true
		}
		if d.unknown != "" || d.blocked != "" {
			continue
		}
		list = fitting(list, len(d.recipients))
		l.o.hold(list, true)
		l.passed[a] = list[len(list)-1].Seq
		select {
		case l.jobs <- job{d, list}:
			handed = true
		case <-ctx.Done():
			return handed, nil
		}
	}
	return handed, nil
}

// next returns the oldest waiting messages of an address that were not handed out, as many as fit into one envelope for one
// recipient.
func (l *lane) next(ctx context.Context, address string) (list []ledger.Outgoing, err error) {
	room := newRoom(1)
	err = l.o.view(ctx, func(tx *ledger.Tx) error {
		return tx.Waiting(l.o.trayNames(), address, l.small, time.Now(), l.passed[address], func(m ledger.Outgoing) bool {
			if l.o.held(m.UID) {
				return true
			}
			if !room.take(m) {
				return false
			}
			list = append(list, m)
			return l.small
		})
	})
	return list, err
}

// room is what is left in one envelope.
type room struct {
	messages int
	bytes    int64
}

// newRoom leaves what an envelope holds besides its messages: the keys, the signature, the ends, and what encryption adds.
func newRoom(recipients int) *room {
	return &room{bytes: api.SmallSize - 20<<10 - int64(recipients)*2<<10}
}

// take says whether a message has room; the first one always has.
func (r *room) take(m ledger.Outgoing) bool {
	r.messages++
	r.bytes -= estimate(m)
	return r.messages == 1 || (r.messages <= api.MaxMessages && r.bytes >= 0)
}

// fitting cuts a list off where an envelope for so many recipients is full.
func fitting(list []ledger.Outgoing, recipients int) []ledger.Outgoing {
	room := newRoom(recipients)
	for i, m := range list {
		if !room.take(m) {
			return list[:i]
		}
	}
	return list
}

// estimate is an upper bound of what one file needs in an envelope's plaintext: its header, its content, its lines in
// message.json, and a PAX header if its path is long or not plain.
func estimate(m ledger.Outgoing) int64 {
	const block, line = 512, 384
	name := int64(len(m.Name))
	size := block + blocks(m.Source.Size) + line + name
	if name > 80 || !plainName(m.Name) {
		size += 2*block + blocks(name+64) + 5*name // JSON may write six bytes for one
	}
	return size
}

func blocks(n int64) int64 { return (n + 511) / 512 * 512 }

// plainName says that a name is the same in JSON and in a tar header.
func plainName(name string) bool {
	for i := range len(name) {
		if c := name[i]; c < 0x20 || c >= 0x7f || strings.IndexByte(`"\<>&`, c) >= 0 {
			return false
		}
	}
	return true
}
