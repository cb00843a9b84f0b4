package badgerspool

import (
	"container/heap"
	"time"
)

// line is one order of a queue. Everything before next is out, or gone for good; what is out is leased, or back and to be
// offered before anything from next on.
type line struct {
	next position
	out  map[position]*item
	low  items     // the members of out
	back positions // those of them that are back; what is not any more is skipped when it comes up
}

// item is a delivery that has left its line.
type item struct {
	position
	firstLeased time.Time
	lease       *lease // nil: back, or on its way out
	index       int    // in low
}

// leave takes the delivery at p out of the line.
func (l *line) leave(p position) *item {
	it := &item{position: p}
	l.out[p] = it
	heap.Push(&l.low, it)
	return it
}

// returned takes the earliest delivery that is back; nil if there is none.
func (l *line) returned() *item {
	for len(l.back) > 0 {
		p := heap.Pop(&l.back).(position)
		if it, ok := l.out[p]; ok && it.lease == nil {
			return it
		}
	}
	return nil
}

// floor is the lowest place at which anything may still wait.
func (l *line) floor() position {
	if len(l.low) > 0 && l.low[0].before(l.next) {
		return l.low[0].position
	}
	return l.next
}

// items is a heap, the earliest first; every member knows its index.
type items []*item

func (h items) Len() int           { return len(h) }
func (h items) Less(i, j int) bool { return h[i].before(h[j].position) }
func (h items) Swap(i, j int)      { h[i], h[j] = h[j], h[i]; h[i].index, h[j].index = i, j }
func (h *items) Push(x any)        { it := x.(*item); it.index = len(*h); *h = append(*h, it) }
func (h *items) Pop() any          { return popLast((*[]*item)(h)) }

// positions is a heap, the earliest first.
type positions []position

func (h positions) Len() int           { return len(h) }
func (h positions) Less(i, j int) bool { return h[i].before(h[j]) }
func (h positions) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *positions) Push(x any)        { *h = append(*h, x.(position)) }
func (h *positions) Pop() any          { return popLast((*[]position)(h)) }

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
