package queue

import (
	"math"
	"time"

	"sealpost/internal/id"
	"sealpost/spool"
)

// lane holds the waiting deliveries of one sender, in two lines.
type lane struct {
	from    id.Site
	last    uint64 // no delivery of it has a higher sequence
	backlog line   // never released; by sequence
	retry   line   // released; by (not before, sequence)
	retryAt int64  // nothing from retry.next on is due before this time, milliseconds
	farAt   int64  // nothing that has not left the line is due after this time, milliseconds
	hurried int    // so many that rest are due for a new session, which has not got them yet
	spent   int64  // see turn

	isExcepted bool // by the call under way
}

func newLane(from id.Site) *lane {
	return &lane{
		from:    from,
		backlog: line{next: Position{From: from}, out: make(map[Position]*item)},
		retry:   line{next: Position{From: from}, out: make(map[Position]*item)},
		retryAt: math.MaxInt64,
	}
}

// line returns the line in which a position stands.
func (l *lane) line(o Order) *line {
	if o == BySequence {
		return &l.backlog
	}
	return &l.retry
}

// mayRest reports whether a released delivery may wait, or one that is on its way there.
func (l *lane) mayRest() bool {
	return l.retryAt != math.MaxInt64 || len(l.backlog.out)+len(l.retry.out) > 0
}

// hurry offers the deliveries that rest to a new session: the obstacle may have gone.
func (l *lane) hurry(s Snapshot) error {
	if l.hurried == 0 {
		return nil
	}
	left := l.hurried
	err := s.Scan(ByTime, l.retry.next, func(p Position, _ []byte) (bool, error) {
		if p.Due == Held {
			return false, nil
		}
		if _, out := l.retry.out[p]; !out {
			l.retry.leave(p)
			l.retry.offer(p)
		}
		left--
		return left > 0, nil
	})
	if err == nil {
		l.hurried = 0
	}
	return err
}

// take takes deliveries out of both lines until the turn is over, due retries first.
func (l *lane) take(t *turn) error {
	if err := l.hurry(t.s); err != nil {
		return err
	}
	for _, o := range []Order{ByTime, BySequence} {
		if err := l.takeFrom(o, t); err != nil {
			return err
		}
	}
	return nil
}

// takeFrom takes deliveries out of one line until the turn is over. Returned ones come first, then
// those from the cursor on, then those that are offered before they are due.
func (l *lane) takeFrom(o Order, t *turn) error {
	err := l.takeOffered(l.line(o).returned, t)
	if err == nil && !t.isOver(l) && l.canScan(o, t.now) {
		err = l.scan(o, t)
	}
	if err == nil {
		err = l.takeOffered(l.line(o).earliestAhead, t)
	}
	if err == nil && o == ByTime && !t.isOver(l) && l.farAt > farthest(t.now) {
		err = l.scanFar(t)
	}
	return err
}

// takeOffered takes deliveries that are out and offered, until the turn is over.
func (l *lane) takeOffered(next func() *item, t *turn) error {
	for !t.isOver(l) {
		it := next()
		if it == nil {
			break
		}
		value, err := t.s.Get(it.Position)
		if err != nil {
			l.line(it.order()).offer(it.Position)
			return err
		}
		if value != nil { // else removed since; Gone or Moved is about to follow
			t.add(l, it, value)
		}
	}
	return nil
}

// canFind reports whether a read of the store can find a delivery for a waiting call.
func (l *lane) canFind(now time.Time) bool {
	return l.hurried > 0 || len(l.backlog.back) > 0 || len(l.retry.back) > 0 ||
		len(l.retry.ahead) > 0 || l.canScan(ByTime, now) || l.farAt > farthest(now) ||
		l.canScan(BySequence, now)
}

// canScan reports whether a scan of one line can find a delivery that is due.
func (l *lane) canScan(o Order, now time.Time) bool {
	if o == ByTime {
		return l.retryAt <= now.UnixMilli()
	}
	return l.backlog.next.Seq <= l.last
}

// farthest returns the latest time for which a delivery rests, in milliseconds. A later one was set
// by a wrong clock: it is leased at once.
func farthest(now time.Time) int64 { return now.Add(spool.MaxDelay).UnixMilli() }

// scan takes deliveries out of one line from its cursor on, and moves the cursor.
func (l *lane) scan(o Order, t *turn) error {
	ln := l.line(o)
	whole := true // the scan reached the end of the line
	err := t.s.Scan(o, ln.next, func(p Position, value []byte) (bool, error) {
		if t.isOver(l) {
			whole = false
			return false, nil
		}
		if p.Due > t.now.UnixMilli() {
			l.retryAt, whole = p.Due, false
			return false, nil
		}
		it, isOut := ln.out[p]
		if !isOut {
			it = ln.leave(p)
		}
		if !isOut || it.isAhead {
			it.isAhead = false
			t.add(l, it, value)
		}
		ln.next = Position{p.From, p.Due, p.Seq + 1}
		return true, nil
	})
	switch {
	case err != nil || !whole:
	case o == ByTime:
		l.retryAt = math.MaxInt64
	case ln.next.Seq <= l.last:
		ln.next.Seq = l.last + 1
	}
	return err
}

// scanFar takes deliveries whose times were set by a wrong clock. The cursor stays: others may rest
// before them.
func (l *lane) scanFar(t *turn) error {
	whole := true
	far := farthest(t.now)
	from := Position{From: l.from, Due: far + 1}
	err := t.s.Scan(ByTime, from, func(p Position, value []byte) (bool, error) {
		if p.Due == Held {
			return false, nil
		}
		if t.isOver(l) {
			whole = false
			return false, nil
		}
		if _, out := l.retry.out[p]; !out {
			t.add(l, l.retry.leave(p), value)
		}
		return true, nil
	})
	if err == nil && whole {
		l.farAt = far
	}
	return err
}
