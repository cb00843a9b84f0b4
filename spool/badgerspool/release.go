package badgerspool

import (
	"context"
	"fmt"
	"time"

	"sealpost/spool"
	"sealpost/spool/badgerspool/queue"
)

// Release implements spool.Spool.
func (s *Spool) Release(ctx context.Context, t spool.Token, nack spool.Nack) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	if nack.Delay < 0 || nack.Delay > spool.MaxDelay || len(nack.Code) > maxCode {
		return fmt.Errorf("release: %w: delay %s, code %.40q", spool.ErrInvalid, nack.Delay,
			nack.Code)
	}
	q := s.tokenQueue(t)
	c := &change{ctx: ctx, need: needFloor, entries: 8, bytes: 8*(entryCost+96) + maxCode}
	c.apply = func(g *group) error { return q.release(g, t, nack) }
	if err := s.submit(c); err != nil {
		return fmt.Errorf("release: %w", err)
	}
	return nil
}

// release moves a leased delivery to its place among the released ones.
func (q *storedQueue) release(g *group, t spool.Token, nack spool.Nack) error {
	from, firstLeased, err := q.Detach(t, g.s.opts.Now())
	if err != nil {
		return err
	}
	if err := q.move(g, from, firstLeased, nack); err != nil {
		q.Offer(from)
		return err
	}
	return nil
}

// move moves the row of a delivery to its place by time. An error has changed nothing.
func (q *storedQueue) move(g *group, from queue.Position, firstLeased time.Time,
	nack spool.Nack) error {
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
	rec, err := readDelivery(g.txn, from.Seq, e.target)
	if err != nil {
		return err
	}
	if rec == nil {
		rec = &delivery{state: stateReleased, firstLeased: firstLeased}
		g.figures(q).released++
	}
	if !nack.NotAttempted {
		e.attempts++
	}
	to := queue.Position{From: from.From, Due: max(1, g.now.Add(nack.Delay).UnixMilli()),
		Seq: from.Seq}
	rec.due, rec.attempts, rec.time, rec.code = to.Due, e.attempts, g.now, nack.Code
	g.next()
	g.del(entryAt(q.name, from))
	g.set(entryAt(q.name, to), e.encode())
	g.set(deliveryKey(from.Seq, e.target), rec.encode())
	c := g.lane(q, from.From)
	c.left++
	c.offer(to)
	g.after = append(g.after, func() { q.Moved(from, to) })
	return nil
}
