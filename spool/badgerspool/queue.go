package badgerspool

import (
	"container/heap"
	"math"
	"slices"
	"sync"
	"time"

	"sealpost/internal/id"
	"sealpost/spool"
)

// queue is what memory holds of one queue: its figures, its session and its leases. Nothing here grows with the length of
// the queue, only with the number of leases that are out, and that is bounded.
type queue struct {
	name string

	mu      sync.Mutex // guards everything below
	known   bool       // it has had a delivery
	figures figures
	fresh   line  // by sequence
	retry   line  // by (not before, sequence)
	retryAt int64 // nothing from retry.next on is due before this time, milliseconds
	tokens  map[spool.Token]*lease
	expiry  expiries
	session id.Session
	number  uint64        // of the session's newest numbered call
	unsure  []spool.Token // what that call handed out: nobody knows yet whether its answer has come through
	seen    []id.Session  // displaced ones, oldest first
	changed chan struct{} // closed when a waiting Lease should look again; nil when none waits
}

const (
	maxSeen   = 1024 // displaced sessions remembered per queue; one that is forgotten counts as new
	maxLeased = 8192 // leases out per queue; more wait until one has come back
)

// lease is a claim on one delivery.
type lease struct {
	token    spool.Token
	item     *item
	until    time.Time
	duration time.Duration
	index    int // in the queue's expiries
}

func newQueue(name string) *queue {
	return &queue{
		name:   name,
		fresh:  line{out: make(map[position]*item)},
		retry:  line{out: make(map[position]*item)},
		tokens: make(map[spool.Token]*lease),

		retryAt: math.MaxInt64,
	}
}

// restore begins where the stored figures end.
func (q *queue) restore(f figures) {
	q.known, q.figures = true, f
	q.fresh.next = position{seq: f.head}
	q.retry.next = f.retryHead
	if f.released > 0 {
		q.retryAt = 0 // unknown: look
	}
}

func (q *queue) load() figures {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.figures
}

// store takes over the figures that were committed, and wakes who waits for deliveries.
func (q *queue) store(f figures) {
	q.mu.Lock()
	defer q.mu.Unlock()
	grown := f.last > q.figures.last
	q.known, q.figures = true, f
	if grown {
		q.wake()
	}
}

// heads fills in the cursors: nothing before them waits. They may lag behind the truth by one commit.
func (q *queue) heads(c *queueChange) {
	q.mu.Lock()
	defer q.mu.Unlock()
	c.head = q.fresh.floor().seq
	c.retryHead = q.retry.floor()
	if c.lowest != (position{}) && c.lowest.before(c.retryHead) {
		c.retryHead = c.lowest
	}
}

// wake lets every waiting Lease look again.
func (q *queue) wake() {
	if q.changed != nil {
		close(q.changed)
		q.changed = nil
	}
}

// waitChannel returns the channel that the next wake closes.
func (q *queue) waitChannel() <-chan struct{} {
	if q.changed == nil {
		q.changed = make(chan struct{})
	}
	return q.changed
}

// line of a position: by sequence, or by time for what was released.
func (q *queue) line(p position) *line {
	if p.due == 0 {
		return &q.fresh
	}
	return &q.retry
}

// adopt makes the session the queue's own, or says that a newer one holds it.
func (q *queue) adopt(session id.Session) error {
	if session == q.session {
		return nil
	}
	if slices.Contains(q.seen, session) {
		return spool.ErrHeld
	}
	if q.session != "" {
		if len(q.seen) == maxSeen {
			q.seen = slices.Delete(q.seen, 0, 1)
		}
		q.seen = append(q.seen, q.session)
	}
	q.session, q.number, q.unsure = session, 0, nil
	for len(q.expiry) > 0 {
		q.giveBack(q.expiry[0])
	}
	q.wake() // the displaced one's waiting calls
	return nil
}

// call begins a call of Lease.
func (q *queue) call(req spool.LeaseRequest) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.adopt(req.Session); err != nil {
		return err
	}
	return q.begin(req)
}

// begin takes note of a numbered call and of what it says of the one before it. A session makes them one after the other,
// so that every earlier one has either been answered, and its answer is there whole, or its caller has left.
func (q *queue) begin(req spool.LeaseRequest) error {
	if req.Number == 0 {
		return nil
	}
	if req.Number <= q.number {
		return spool.ErrInvalid
	}
	if req.Got < q.number {
		for _, t := range q.unsure {
			if l, ok := q.tokens[t]; ok {
				q.giveBack(l)
			}
		}
	}
	q.number, q.unsure = req.Number, nil
	q.wake() // the calls before this one
	return nil
}

// expire takes back every lease that has ended.
func (q *queue) expire(now time.Time) {
	for len(q.expiry) > 0 && !now.Before(q.expiry[0].until) {
		q.giveBack(q.expiry[0])
	}
}

// giveBack ends a lease and offers its delivery again.
func (q *queue) giveBack(l *lease) {
	q.end(l)
	q.offerAgain(l.item.position)
}

// offerAgain lets the next Lease have a delivery that is out.
func (q *queue) offerAgain(p position) { heap.Push(&q.line(p).back, p) }

// end forgets a lease; its delivery stays out.
func (q *queue) end(l *lease) {
	delete(q.tokens, l.token)
	heap.Remove(&q.expiry, l.index)
	l.item.lease = nil
}

// held returns the lease of a token unless it has ended.
func (q *queue) held(t spool.Token, now time.Time) (*lease, error) {
	q.expire(now)
	l, ok := q.tokens[t]
	if !ok {
		return nil, spool.ErrStale
	}
	return l, nil
}

// prolong makes a lease last for its duration from now.
func (q *queue) prolong(l *lease, now time.Time) time.Time {
	l.until = now.Add(l.duration)
	heap.Fix(&q.expiry, l.index)
	return l.until
}

// claim leases an item that has left its line.
func (q *queue) claim(it *item, token spool.Token, now time.Time, d time.Duration) {
	if it.firstLeased.IsZero() {
		it.firstLeased = cut(now)
	}
	it.lease = &lease{token: token, item: it, until: now.Add(d), duration: d}
	q.tokens[token] = it.lease
	heap.Push(&q.expiry, it.lease)
}

// gone says that a delivery has left its place for good, with whatever lease was on it.
func (q *queue) gone(p position) {
	q.mu.Lock()
	defer q.mu.Unlock()
	full := len(q.tokens) == maxLeased
	q.remove(p)
	if full {
		q.wake()
	}
}

func (q *queue) remove(p position) {
	ln := q.line(p)
	it, ok := ln.out[p]
	if !ok {
		return
	}
	if it.lease != nil {
		q.end(it.lease)
	}
	delete(ln.out, p)
	heap.Remove(&ln.low, it.index)
}

// moved says that a delivery has been released from one place to another.
func (q *queue) moved(from, to position) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.remove(from)
	if _, out := q.retry.out[to]; !out && to.before(q.retry.next) {
		q.retry.leave(to)
		q.offerAgain(to)
	}
	q.retryAt = min(q.retryAt, to.due)
	q.wake()
}

// firstLeased is when a delivery that is out was first handed out by this process.
func (q *queue) firstLeased(p position) time.Time {
	q.mu.Lock()
	defer q.mu.Unlock()
	if it, ok := q.line(p).out[p]; ok {
		return it.firstLeased
	}
	return time.Time{}
}

// pending returns how long a waiting Lease may sleep before time alone could bring it something; negative: for ever.
func (q *queue) pending(now time.Time) time.Duration {
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
