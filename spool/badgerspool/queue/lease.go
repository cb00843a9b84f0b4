package queue

import (
	"container/heap"
	"errors"
	"math"
	"time"

	"sealpost/internal/id"
	"sealpost/spool"
)

// Snapshot reads the stored deliveries of a queue as of one commit.
type Snapshot interface {
	// Get returns the value at a position; nil when no delivery stands there.
	Get(Position) ([]byte, error)
	// Scan calls yield with the deliveries of one order from a position on, until it returns false
	// or an error.
	Scan(o Order, from Position, yield func(Position, []byte) (more bool, err error)) error
}

// View calls read with a snapshot of the newest commit.
type View func(read func(Snapshot) error) error

// Lease is a delivery that has been leased.
type Lease struct {
	Position
	Value []byte // the stored one
	Token spool.Token
	Until time.Time
	item  *item
}

// Wait is the time at which a call with no delivery should try again.
type Wait struct {
	Changed <-chan struct{} // closed when the queue has changed
	Sleep   time.Duration   // after this time alone a delivery may be due; negative: never
}

// ErrOvertaken reports that the session has made a later call. It no longer reads this answer.
var ErrOvertaken = errors.New("overtaken by a later call of the session")

// Lease leases up to req.Max deliveries that are due and waiting: released ones first, then in
// sequence. Without any it returns how long to wait. The snapshot is taken under the queue's lock,
// so nothing whose settlement has been answered is leased. An error of the view leases nothing.
func (q *Queue) Lease(req spool.LeaseRequest, now time.Time, view View) ([]Lease, Wait, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.adopt(req.Session); err != nil {
		return nil, Wait{}, err
	}
	if req.Number != 0 && req.Number != q.number {
		return nil, Wait{}, ErrOvertaken
	}
	q.expire(now)
	found, err := q.collect(min(req.Max, maxLeased-len(q.tokens)), now, view)
	if err != nil {
		for _, l := range found {
			q.offer(l.Position)
		}
		return nil, Wait{}, err
	}
	for i := range found {
		q.claim(&found[i], now, req.Duration)
		if req.Number != 0 {
			q.answer = append(q.answer, found[i].Token)
		}
	}
	if len(found) == 0 {
		if q.changed == nil {
			q.changed = make(chan struct{})
		}
		return nil, Wait{q.changed, q.pending(now)}, nil
	}
	return found, Wait{}, nil
}

// claim leases a delivery that has left its line.
func (q *Queue) claim(l *Lease, now time.Time, d time.Duration) {
	it := l.item
	if it.firstLeased.IsZero() {
		it.firstLeased = now
	}
	l.Token = spool.Token(id.Random128[string]() + "." + q.name)
	l.Until = now.Add(d)
	it.lease = &lease{token: l.Token, item: it, until: l.Until, duration: d}
	q.tokens[l.Token] = it.lease
	heap.Push(&q.expiry, it.lease)
}

// collect takes up to max deliveries out of the queue, due retries first.
func (q *Queue) collect(max int, now time.Time, view View) (found []Lease, err error) {
	if max < 1 || !q.canFind(now) {
		return nil, nil
	}
	err = view(func(s Snapshot) error {
		if err := q.hurry(s); err != nil {
			return err
		}
		for _, o := range []Order{ByTime, BySequence} {
			if found, err = q.take(s, o, found, max, now); err != nil {
				return err
			}
		}
		return nil
	})
	return found, err
}

// hurry offers the deliveries that rest to a new session: the obstacle may have gone.
// It offers at most maxLeased, which bounds its memory; others rest until they are due.
func (q *Queue) hurry(s Snapshot) error {
	if !q.isNew {
		return nil
	}
	seen := 0
	err := s.Scan(ByTime, q.retry.next, func(p Position, _ []byte) (bool, error) {
		if _, out := q.retry.out[p]; !out {
			q.retry.leave(p)
			q.offer(p)
		}
		seen++
		return seen < maxLeased, nil
	})
	q.isNew = err != nil
	return err
}

// take takes deliveries out of one line until there are max. Returned ones come first, then those
// from the cursor on, then those that are offered before they are due.
func (q *Queue) take(s Snapshot, o Order, found []Lease, max int, now time.Time) ([]Lease, error) {
	found, err := q.takeOffered(s, q.line(o).returned, found, max)
	if err == nil && len(found) < max && q.canScan(o, now) {
		found, err = q.scan(s, o, found, max, now)
	}
	if err == nil {
		found, err = q.takeOffered(s, q.line(o).earliestAhead, found, max)
	}
	if err == nil && o == ByTime && len(found) < max && q.farAt > farthest(now) {
		found, err = q.scanFar(s, found, max, now)
	}
	return found, err
}

// takeOffered takes deliveries that are out and offered, until there are max.
func (q *Queue) takeOffered(s Snapshot, next func() *item, found []Lease,
	max int) ([]Lease, error) {
	for len(found) < max {
		it := next()
		if it == nil {
			break
		}
		value, err := s.Get(it.Position)
		if err != nil {
			q.offer(it.Position)
			return found, err
		}
		if value != nil { // else removed since; Gone or Moved is about to follow
			found = append(found, Lease{Position: it.Position, Value: value, item: it})
		}
	}
	return found, nil
}

// canFind reports whether a read of the store can find a delivery for a waiting call.
func (q *Queue) canFind(now time.Time) bool {
	return q.isNew || len(q.backlog.back) > 0 || len(q.retry.back) > 0 ||
		len(q.retry.ahead) > 0 || q.canScan(ByTime, now) || q.farAt > farthest(now) ||
		q.canScan(BySequence, now)
}

// canScan reports whether a scan of one line can find a delivery that is due.
func (q *Queue) canScan(o Order, now time.Time) bool {
	if o == ByTime {
		return q.retryAt <= now.UnixMilli()
	}
	return q.backlog.next.Seq <= q.last
}

// farthest returns the latest time for which a delivery rests, in milliseconds. A later one was set
// by a wrong clock: it is leased at once.
func farthest(now time.Time) int64 { return now.Add(spool.MaxDelay).UnixMilli() }

// scan takes deliveries out of one line from its cursor on, and moves the cursor.
func (q *Queue) scan(s Snapshot, o Order, found []Lease, max int, now time.Time) ([]Lease, error) {
	ln := q.line(o)
	whole := true // the scan reached the end of the line
	err := s.Scan(o, ln.next, func(p Position, value []byte) (bool, error) {
		if len(found) == max {
			whole = false
			return false, nil
		}
		if p.Due > now.UnixMilli() {
			q.retryAt, whole = p.Due, false
			return false, nil
		}
		it, isOut := ln.out[p]
		if !isOut {
			it = ln.leave(p)
		}
		if !isOut || it.isAhead {
			it.isAhead = false
			found = append(found, Lease{Position: p, Value: value, item: it})
		}
		ln.next = Position{p.Due, p.Seq + 1}
		return true, nil
	})
	switch {
	case err != nil || !whole:
	case o == ByTime:
		q.retryAt = math.MaxInt64
	case ln.next.Seq <= q.last:
		ln.next.Seq = q.last + 1
	}
	return found, err
}

// scanFar takes deliveries whose times were set by a wrong clock. The cursor stays: others may rest
// before them.
func (q *Queue) scanFar(s Snapshot, found []Lease, max int, now time.Time) ([]Lease, error) {
	whole := true
	far := farthest(now)
	err := s.Scan(ByTime, Position{Due: far + 1}, func(p Position, value []byte) (bool, error) {
		if len(found) == max {
			whole = false
			return false, nil
		}
		if _, out := q.retry.out[p]; !out {
			found = append(found, Lease{Position: p, Value: value, item: q.retry.leave(p)})
		}
		return true, nil
	})
	if err == nil && whole {
		q.farAt = far
	}
	return found, err
}

// pending returns how long a waiting Lease may sleep before time alone can bring it a delivery;
// negative: for ever.
func (q *Queue) pending(now time.Time) time.Duration {
	sleep := time.Duration(-1)
	if len(q.expiry) > 0 {
		sleep = max(q.expiry[0].until.Sub(now), time.Millisecond)
	}
	if len(q.tokens) < maxLeased && q.retryAt != math.MaxInt64 {
		due := max(time.UnixMilli(q.retryAt).Sub(now), time.Millisecond)
		if sleep < 0 || due < sleep {
			sleep = due
		}
	}
	return sleep
}
