package badgerspool

import (
	"context"
	"fmt"
	"time"

	"sealpost/spool"
)

// Release implements spool.Spool.
func (s *Spool) Release(ctx context.Context, t spool.Token, nack spool.Nack) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	if nack.Delay < 0 || nack.Delay > spool.MaxDelay || len(nack.Code) > maxCode {
		return fmt.Errorf("release: %w: delay %s, code %.40q", spool.ErrInvalid, nack.Delay, nack.Code)
	}
	q := s.tokenQueue(t)
	c := &change{ctx: ctx, need: needFloor, entries: 8, bytes: 8*(entryCost+96) + maxCode}
	c.apply = func(g *group) error { return q.release(g, t, nack) }
	if err := s.submit(c); err != nil {
		return fmt.Errorf("release: %w", err)
	}
	return nil
}

// release moves a leased delivery to where the released ones rest.
func (q *queue) release(g *group, t spool.Token, nack spool.Nack) error {
	it, err := q.detach(t, g.s.opts.Now())
	if err != nil {
		return err
	}
	if err := q.rest(g, it, nack); err != nil {
		q.mu.Lock()
		defer q.mu.Unlock()
		if _, out := q.line(it.position).out[it.position]; out {
			q.offerAgain(it.position)
		}
		return err
	}
	return nil
}

func (q *queue) rest(g *group, it item, nack spool.Nack) error {
	from := it.position
	value, err := g.get(entryAt(q.name, from))
	if err != nil {
		return err
	}
	if value == nil { // settled or released before, in this very group
		return spool.ErrStale
	}
	e, err := decodeEntry(value)
	if err != nil {
		return err
	}
	rec, err := readDelivery(g.txn, from.seq, e.target)
	if err != nil {
		return err
	}
	if rec == nil {
		rec = &delivery{state: stateReleased, firstLeased: it.firstLeased}
		g.figures(q).released++
	}
	if !nack.NotAttempted {
		e.attempts++
	}
	to := position{due: max(1, g.now.Add(nack.Delay).UnixMilli()), seq: from.seq}
	rec.due, rec.attempts, rec.time, rec.code = to.due, e.attempts, g.now, nack.Code
	g.next()
	g.del(entryAt(q.name, from))
	g.set(entryAt(q.name, to), e.encode())
	g.set(deliveryKey(from.seq, e.target), rec.encode())
	g.figures(q).lower(to)
	g.after = append(g.after, func() { q.moved(from, to) })
	return nil
}

// detach ends a lease without offering its delivery again.
func (q *queue) detach(t spool.Token, now time.Time) (item, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l, err := q.held(t, now)
	if err != nil {
		return item{}, err
	}
	q.end(l)
	return *l.item, nil
}

// lower notes that the group has released a delivery to a place.
func (c *queueChange) lower(to position) {
	if c.lowest == (position{}) || to.before(c.lowest) {
		c.lowest = to
	}
}
