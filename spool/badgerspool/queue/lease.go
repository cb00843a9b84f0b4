package queue

import (
	"container/heap"
	"errors"
	"time"

	"sealpost/internal/id"
	"sealpost/spool"
)

// Snapshot reads the stored deliveries of a queue as of one commit.
type Snapshot interface {
	// Get returns the value at a position; nil when no delivery stands there.
	Get(Position) ([]byte, error)
	// Scan calls yield with the deliveries of a sender in one order, from a position on, until it
	// returns false or an error.
	Scan(o Order, from Position, yield func(Position, []byte) (more bool, err error)) error
	// Cost returns the part of its sender's turn that a delivery takes, at least 1.
	Cost(value []byte) int64
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

// Lease leases up to req.Max deliveries that are due and waiting. The senders take turns; of each
// the released ones come first, then the others in sequence. Without any it returns how long to
// wait. The snapshot is taken under the queue's lock, so nothing whose settlement has been answered
// is leased. An error of the view leases nothing.
func (q *Queue) Lease(req spool.LeaseRequest, now time.Time, view View) ([]Lease, Wait, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.adopt(req); err != nil {
		return nil, Wait{}, err
	}
	if req.Number != 0 && req.Number != q.number {
		return nil, Wait{}, ErrOvertaken
	}
	q.expire(now)
	q.except(req.Except)
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

// pending returns how long a waiting Lease may sleep before time alone can bring it a delivery;
// negative: for ever.
func (q *Queue) pending(now time.Time) time.Duration {
	sleep := time.Duration(-1)
	if len(q.expiry) > 0 {
		sleep = max(q.expiry[0].until.Sub(now), time.Millisecond)
	}
	if len(q.tokens) == maxLeased {
		return sleep
	}
	for _, l := range q.lanes {
		if l.isExcepted || l.retryAt >= Held {
			continue
		}
		due := max(time.UnixMilli(l.retryAt).Sub(now), time.Millisecond)
		if sleep < 0 || due < sleep {
			sleep = due
		}
	}
	return sleep
}
