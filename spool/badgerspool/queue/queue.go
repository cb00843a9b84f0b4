// Package queue is the lease machine of one queue: cursors, leases, retries, sessions and the order
// of delivery.
//
// A Queue decides which delivery is leased next, and to which session. Senders take turns, each
// with a lane of its own. It reads stored deliveries
// through a Snapshot and writes nothing: the engine commits a change, and tells the queue
// afterwards. Its memory grows with the number of leases, at most maxLeased, and of senders, and
// not with the length of the queue. Nothing of it survives the process but the cursors, which the
// engine stores.
//
// The package must not know an engine, a disk or the format of a record.
package queue

import (
	"container/heap"
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"sealpost/internal/id"
	"sealpost/spool"
)

// Queue holds the sessions and leases of one queue. All methods may be called concurrently.
type Queue struct {
	name string

	mu       sync.Mutex // guards everything below
	lanes    []*lane
	bySender map[id.Site]*lane
	ready    lanes // of the call under way
	served   int64 // the least that a ready lane had spent at the newest delivery
	tokens   map[spool.Token]*lease
	expiry   expiries
	session  id.Session
	number   uint64        // of the session's newest numbered call
	answer   []spool.Token // leased by that call, and not confirmed by the session yet
	seen     []id.Session  // displaced ones, oldest first
	aspiring []aspirant    // sessions that may take the queue, oldest first
	changed  chan struct{} // closed when a waiting Lease should look again; nil when none waits
}

// aspirant is a session that has called while another one holds the queue. It takes the queue once
// a call shows that the answer has arrived.
type aspirant struct {
	session id.Session
	number  uint64 // of its newest call
}

// ErrAspires means that the session of a call does not hold the queue yet. It takes the queue with
// the next call.
var ErrAspires = errors.New("the session does not hold the queue yet")

const (
	maxSeen   = 1024 // displaced sessions remembered per queue; a forgotten one counts as new
	maxAspire = 16   // aspirants per queue; a forgotten one begins anew
	maxLeased = 8192 // leases per queue; more deliveries wait until one has ended
)

// lease is a claim on one delivery.
type lease struct {
	token    spool.Token
	item     *item
	until    time.Time
	duration time.Duration
	index    int // in the queue's expiries
}

// New returns an empty queue.
func New(name string) *Queue {
	return &Queue{
		name:     name,
		bySender: make(map[id.Site]*lane),
		tokens:   make(map[spool.Token]*lease),
	}
}

// Cursors are the durable part of a sender's lane.
type Cursors struct {
	Head      uint64   // no delivery before this sequence waits unreleased
	RetryHead Position // no released delivery waits before this place
}

// Restore adds the lane of a sender at stored cursors. No delivery of it has a sequence higher than
// last, and at most so many released ones wait. It comes before any call of Lease.
func (q *Queue) Restore(from id.Site, c Cursors, last uint64, released int64) {
	l := q.lane(from)
	l.last = last
	l.backlog.next.Seq = c.Head
	l.retry.next = Position{from, c.RetryHead.Due, c.RetryHead.Seq}
	if released > 0 {
		l.retryAt, l.farAt = 0, math.MaxInt64 // unknown: look
	}
}

// Cursors returns the places of a sender before which nothing waits. They may lag behind by one
// commit.
func (q *Queue) Cursors(from id.Site) Cursors {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.lane(from)
	return Cursors{Head: l.backlog.floor().Seq, RetryHead: l.retry.floor()}
}

// Grow sets the highest sequence of a sender after a commit, and wakes waiting calls if it has
// risen.
func (q *Queue) Grow(from id.Site, last uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if l := q.lane(from); last > l.last {
		l.last = last
		q.wake()
	}
}

// Leased returns the number of leases.
func (q *Queue) Leased(now time.Time) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.expire(now)
	return len(q.tokens)
}

// IsLeased reports whether the delivery at a position is leased.
func (q *Queue) IsLeased(p Position, now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.expire(now)
	it, ok := q.item(p)
	return ok && it.lease != nil
}

// wake lets every waiting Lease look again.
func (q *Queue) wake() {
	if q.changed != nil {
		close(q.changed)
		q.changed = nil
	}
}

// item returns the delivery at a position if it has left its line.
func (q *Queue) item(p Position) (*item, bool) {
	it, ok := q.line(p).out[p]
	return it, ok
}

// line returns the line in which a position stands.
func (q *Queue) line(p Position) *line { return q.lane(p.From).line(p.order()) }

// Begin starts a call of Lease. It makes the session the queue's own, unless a newer one holds it,
// and records the call's number. If the answer to the numbered call before was lost, it ends those
// leases. A session makes numbered calls one after the other, so every earlier one has been
// answered completely, or its caller has left.
func (q *Queue) Begin(req spool.LeaseRequest) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.adopt(req); err != nil || req.Number == 0 {
		return err
	}
	if req.Number <= q.number {
		return spool.ErrInvalid
	}
	if req.Got < q.number {
		for _, t := range q.answer {
			if l, ok := q.tokens[t]; ok {
				q.giveBack(l)
			}
		}
	}
	q.number, q.answer = req.Number, nil
	q.wake() // the calls before this one
	return nil
}

// adopt makes the session of a call the queue's own, and ends the leases of the one before it.
// Deliveries that rested are due for a session that has just begun.
func (q *Queue) adopt(req spool.LeaseRequest) error {
	if req.Session == q.session {
		return nil
	}
	if slices.Contains(q.seen, req.Session) || slices.Contains(q.seen, req.Renews) {
		return spool.ErrHeld
	}
	if req.Number != 0 && q.session != "" && req.Renews != q.session && !q.isConfirmed(req) {
		return ErrAspires
	}
	if q.session != "" {
		q.displace(q.session)
	}
	if q.session != "" || req.Number == 1 {
		q.hurry()
	}
	q.session, q.number, q.answer = req.Session, 0, nil
	for len(q.expiry) > 0 {
		q.giveBack(q.expiry[0])
	}
	q.wake() // the displaced session's waiting calls
	return nil
}

// isConfirmed reports whether the session of a numbered call has had the answer to one of its calls
// here. If so, the sessions that called first before it are displaced, since it began after them.
// Otherwise it becomes an aspirant.
func (q *Queue) isConfirmed(req spool.LeaseRequest) bool {
	i := slices.IndexFunc(q.aspiring,
		func(a aspirant) bool { return a.session == req.Session })
	switch {
	case i < 0:
		q.aspiring = append(q.aspiring, aspirant{req.Session, req.Number})
		q.aspiring = q.aspiring[max(0, len(q.aspiring)-maxAspire):]
		return false
	case req.Got < q.aspiring[i].number:
		q.aspiring[i].number = req.Number
		return false
	}
	for _, older := range q.aspiring[:i] {
		q.displace(older.session)
	}
	q.aspiring = slices.Delete(q.aspiring, 0, i+1)
	return true
}

// displace refuses a session from now on.
func (q *Queue) displace(s id.Session) {
	if len(q.seen) == maxSeen {
		q.seen = slices.Delete(q.seen, 0, 1)
	}
	q.seen = append(q.seen, s)
}

// hurry offers the deliveries that rest to a new session: the obstacle may have gone. It offers at
// most about maxLeased, the same number of each sender, which bounds its memory; others rest until
// they are due.
func (q *Queue) hurry() {
	resting := make([]*lane, 0, len(q.lanes))
	for _, l := range q.lanes {
		if l.mayRest() {
			resting = append(resting, l)
		}
	}
	for _, l := range resting {
		l.hurried = maxLeased/len(resting) + 1
	}
}

// expire ends every lease whose time has passed.
func (q *Queue) expire(now time.Time) {
	for len(q.expiry) > 0 && !now.Before(q.expiry[0].until) {
		q.giveBack(q.expiry[0])
	}
}

// giveBack ends a lease and offers its delivery again.
func (q *Queue) giveBack(l *lease) {
	q.end(l)
	q.offer(l.item.Position)
}

// offer lets the next Lease have a delivery that is out.
func (q *Queue) offer(p Position) { q.line(p).offer(p) }

// end forgets a lease; its delivery stays out.
func (q *Queue) end(l *lease) {
	delete(q.tokens, l.token)
	heap.Remove(&q.expiry, l.index)
	l.item.lease = nil
}

// held returns the lease of a token unless it has ended.
func (q *Queue) held(t spool.Token, now time.Time) (*lease, error) {
	q.expire(now)
	l, ok := q.tokens[t]
	if !ok {
		return nil, spool.ErrStale
	}
	return l, nil
}

// Extend prolongs a lease by its own duration from now, and returns its new end.
func (q *Queue) Extend(t spool.Token, now time.Time) (time.Time, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l, err := q.held(t, now)
	if err != nil {
		return time.Time{}, err
	}
	l.until = now.Add(l.duration)
	heap.Fix(&q.expiry, l.index)
	return l.until, nil
}

// Return ends leases and offers their deliveries again.
func (q *Queue) Return(leases []Lease) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, leased := range leases {
		if l, ok := q.tokens[leased.Token]; ok {
			q.giveBack(l)
		}
	}
}

// Detach ends a lease without offering its delivery again: Moved or Offer must follow. It returns
// the delivery's place, and the time of its first lease in this process.
func (q *Queue) Detach(t spool.Token, now time.Time) (Position, time.Time, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l, err := q.held(t, now)
	if err != nil {
		return Position{}, time.Time{}, err
	}
	q.end(l)
	return l.item.Position, l.item.firstLeased, nil
}

// Offer offers a detached delivery again.
func (q *Queue) Offer(p Position) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if _, out := q.item(p); out {
		q.offer(p)
	}
}

// Gone removes a delivery that a commit has taken from its place, with its lease.
func (q *Queue) Gone(p Position) {
	q.mu.Lock()
	defer q.mu.Unlock()
	full := len(q.tokens) == maxLeased
	q.remove(p)
	if full {
		q.wake()
	}
}

// remove forgets a delivery that is out, with its lease.
func (q *Queue) remove(p Position) {
	it, ok := q.item(p)
	if !ok {
		return
	}
	if it.lease != nil {
		q.end(it.lease)
	}
	ln := q.line(p)
	delete(ln.out, p)
	heap.Remove(&ln.low, it.index)
}

// Moved follows a commit that has moved a delivery from one place to another. It was released, put
// on hold, or its hold has ended. A lease of it has ended.
func (q *Queue) Moved(from, to Position) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.remove(from)
	l := q.lane(to.From)
	if _, out := l.retry.out[to]; !out && to.Before(l.retry.next) {
		l.retry.leave(to)
		l.retry.offer(to)
	}
	l.retryAt = min(l.retryAt, to.Due)
	if to.Due != Held {
		l.farAt = max(l.farAt, to.Due)
	}
	q.wake()
}

// FirstLeased returns the time of a delivery's first lease in this process, if it is out.
func (q *Queue) FirstLeased(p Position) time.Time {
	q.mu.Lock()
	defer q.mu.Unlock()
	if it, ok := q.item(p); ok {
		return it.firstLeased
	}
	return time.Time{}
}

// NameIn returns the name of the queue to which a token, 128 random bits and that name, belongs.
func NameIn(t spool.Token) string {
	_, name, _ := strings.Cut(string(t), ".")
	return name
}
