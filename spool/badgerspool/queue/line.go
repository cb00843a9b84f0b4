package queue

import (
	"container/heap"
	"math"
	"time"

	"sealpost/internal/id"
)

// Position is a place in the lane of a sender. A released delivery stands by (not before,
// sequence), and another one by sequence.
type Position struct {
	From id.Site
	Due  int64 // milliseconds since 1970; 0: never released; Held: on hold
	Seq  uint64
}

// Held is the Due of a delivery on hold: it is never due. A lane with nothing at rest has a higher
// retryAt.
const Held = math.MaxInt64 - 1

// Before reports whether p comes before q in their order. Both are of one sender.
func (p Position) Before(q Position) bool {
	return p.Due < q.Due || p.Due == q.Due && p.Seq < q.Seq
}

// Order is one of the two orders in which a sender's deliveries stand.
type Order int

// The orders.
const (
	BySequence Order = iota // those that were never released
	ByTime                  // released ones
)

func (p Position) order() Order {
	if p.Due == 0 {
		return BySequence
	}
	return ByTime
}

// line is one order of a lane. Every delivery before next is out or gone for good. One that is out
// is leased, on its way elsewhere, or returned; returned ones are leased before any from next on.
// Ones from next on are out too if they are offered before they are due.
type line struct {
	next  Position
	out   map[Position]*item
	low   items     // the members of out
	back  positions // the returned ones; one that is not isBack any more is skipped
	ahead positions // those from next on; one that is not isAhead any more is skipped
}

// item is a delivery that has left its line.
type item struct {
	Position
	firstLeased time.Time
	lease       *lease // nil: returned, or on its way elsewhere
	index       int    // in low
	isAhead     bool   // in the line's ahead
	isBack      bool   // in the line's back
}

// leave takes the delivery at p out of the line.
func (l *line) leave(p Position) *item {
	it := &item{Position: p}
	l.out[p] = it
	heap.Push(&l.low, it)
	return it
}

// returned takes the earliest returned delivery; nil if there is none.
func (l *line) returned() *item {
	for len(l.back) > 0 {
		p := heap.Pop(&l.back).(Position)
		if it, ok := l.out[p]; ok && it.isBack {
			it.isBack = false
			return it
		}
	}
	return nil
}

// offer lets the next Lease have a delivery that is out.
func (l *line) offer(p Position) {
	it, isOut := l.out[p]
	switch {
	case !isOut:
	case !p.Before(l.next):
		it.isAhead = true
		heap.Push(&l.ahead, p)
	default:
		it.isBack = true
		heap.Push(&l.back, p)
	}
}

// earliestAhead takes the earliest delivery from ahead; nil if there is none.
func (l *line) earliestAhead() *item {
	for len(l.ahead) > 0 {
		p := heap.Pop(&l.ahead).(Position)
		if it, ok := l.out[p]; ok && it.isAhead {
			it.isAhead = false
			return it
		}
	}
	return nil
}

// floor returns the lowest place at which a delivery may still wait.
func (l *line) floor() Position {
	if len(l.low) > 0 && l.low[0].Before(l.next) {
		return l.low[0].Position
	}
	return l.next
}

// items is a heap, the earliest first; every member knows its index.
type items []*item

func (h items) Len() int           { return len(h) }
func (h items) Less(i, j int) bool { return h[i].Before(h[j].Position) }
func (h items) Swap(i, j int)      { h[i], h[j] = h[j], h[i]; h[i].index, h[j].index = i, j }
func (h *items) Push(x any)        { it := x.(*item); it.index = len(*h); *h = append(*h, it) }
func (h *items) Pop() any          { return popLast((*[]*item)(h)) }

// positions is a heap, the earliest first.
type positions []Position

func (h positions) Len() int           { return len(h) }
func (h positions) Less(i, j int) bool { return h[i].Before(h[j]) }
func (h positions) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *positions) Push(x any)        { *h = append(*h, x.(Position)) }
func (h *positions) Pop() any          { return popLast((*[]Position)(h)) }

// expiries is a heap of leases, the first to end first; every member knows its index.
type expiries []*lease

func (h expiries) Len() int           { return len(h) }
func (h expiries) Less(i, j int) bool { return h[i].until.Before(h[j].until) }
func (h expiries) Swap(i, j int)      { h[i], h[j] = h[j], h[i]; h[i].index, h[j].index = i, j }
func (h *expiries) Push(x any)        { l := x.(*lease); l.index = len(*h); *h = append(*h, l) }
func (h *expiries) Pop() any          { return popLast((*[]*lease)(h)) }

func popLast[T any](h *[]T) T {
	old := *h
	x := old[len(old)-1]
	var none T
	old[len(old)-1] = none
	*h = old[:len(old)-1]
	return x
}
