package badgerspool

import (
	"context"
	"fmt"

	badger "github.com/dgraph-io/badger/v4"

	"sealpost/spool"
)

// Kill implements spool.Admin. It works in steps; one that was interrupted goes on when it is called again.
func (s *Spool) Kill(ctx context.Context, name, code string) (int, error) {
	if !validName(name) || code == "" || len(code) > maxCode {
		return 0, fmt.Errorf("kill %.80q: %w", name, spool.ErrInvalid)
	}
	if err := s.enter(); err != nil {
		return 0, err
	}
	defer s.leave()
	q := s.queue(name)
	f := q.load()
	killed, err := s.killLine(ctx, q, false, position{seq: f.head}, f.last, code)
	if err != nil {
		return killed, fmt.Errorf("kill %s: %w", name, err)
	}
	resting, err := s.killLine(ctx, q, true, position{due: f.retryHead.due}, f.last, code)
	if err != nil {
		return killed + resting, fmt.Errorf("kill %s: %w", name, err)
	}
	return killed + resting, nil
}

// killLine goes through one order of a queue. What is released meanwhile is met again in the second one.
func (s *Spool) killLine(ctx context.Context, q *queue, retry bool, from position, last uint64, code string) (killed int, err error) {
	for {
		places, err := s.waitingFrom(q, retry, from, last)
		if err != nil || len(places) == 0 {
			return killed, err
		}
		n, err := s.killStep(ctx, q, places, code)
		killed += n
		if err != nil {
			return killed, err
		}
		from = places[len(places)-1].position
		from.seq++
	}
}

const killStep = 256 // deliveries in one change

// place is a waiting delivery of a queue, with its envelope.
type place struct {
	position
	end ending
}

func (s *Spool) waitingFrom(q *queue, retry bool, from position, last uint64) (places []place, err error) {
	prefix := entryPrefix(q.name, retry)
	err = s.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
		defer it.Close()
		for it.Seek(seekKey(prefix, retry, from)); it.Valid() && len(places) < killStep; it.Next() {
			p := entryPosition(it.Item().Key(), prefix)
			if p.seq > last {
				continue // published since Kill was called
			}
			var e entry
			if err := it.Item().Value(func(v []byte) (err error) { e, err = decodeEntry(v); return err }); err != nil {
				return err
			}
			env, err := readEnvelope(txn, e.sender, p.seq)
			if err != nil {
				return err
			}
			places = append(places, place{p, s.ending(env, e.target)})
		}
		return nil
	})
	return places, err
}

// killStep makes those of the places dead that still wait.
func (s *Spool) killStep(ctx context.Context, q *queue, places []place, code string) (int, error) {
	killed := 0
	c := &change{ctx: ctx, need: needFloor, entries: 12 * len(places), bytes: len(places) * 8 * (entryCost + 96)}
	c.apply = func(g *group) error {
		for _, p := range places {
			old, err := p.end.begin(g)
			if err != nil {
				return err
			}
			if old.final() {
				continue
			}
			if err := p.end.finish(g, old, &delivery{state: stateDead, code: code}); err != nil {
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
