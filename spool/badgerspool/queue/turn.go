package queue

import (
	"cmp"
	"container/heap"
	"math"
	"slices"
	"strings"
	"time"

	"sealpost/internal/id"
	"sealpost/spool"
)

// The senders of a queue take turns. Each lane remembers the cost of the deliveries that were
// leased from it (spent), and the lane with the lowest is next. Its turn ends when it has spent
// spool.Turn more than the next one. A lane that had nothing to lease saves nothing for later: it
// begins again where the others are now (served).

// turn is one lane's part of a call of Lease.
type turn struct {
	s      Snapshot
	now    time.Time
	max    int   // deliveries that the call leases
	until  int64 // the turn is over when the lane has spent more
	newest int64 // spent by the lane of the newest delivery before it
	found  []Lease
}

func (t *turn) isOver(l *lane) bool { return len(t.found) >= t.max || l.spent > t.until }

// add leases a delivery that has left its line, at the cost of its lane.
func (t *turn) add(l *lane, it *item, value []byte) {
	t.found = append(t.found, Lease{Position: it.Position, Value: value, item: it})
	t.newest = l.spent
	l.spent += t.s.Cost(value)
}

// collect takes up to max deliveries out of the queue, in turns of its senders. An error costs no
// sender its turn.
func (q *Queue) collect(max int, now time.Time, view View) ([]Lease, error) {
	ready := q.findReady(now)
	if max < 1 || len(ready) == 0 {
		return nil, nil
	}
	t := turn{now: now, max: max}
	served := q.served
	err := view(func(s Snapshot) error {
		t.s = s
		for len(ready) > 0 && len(t.found) < max {
			l := heap.Pop(&ready).(*lane)
			before := l.spent
			t.until = math.MaxInt64
			if len(ready) > 0 {
				t.until = ready[0].spent + spool.Turn
			}
			if err := l.take(&t); err != nil {
				return err
			}
			if l.spent == before {
				continue
			}
			q.served = t.newest
			if len(ready) > 0 {
				q.served = min(t.newest, ready[0].spent)
			}
			if l.canFind(now) {
				heap.Push(&ready, l)
			}
		}
		return nil
	})
	if err != nil {
		for _, l := range t.found {
			q.bySender[l.From].spent -= t.s.Cost(l.Value)
		}
		q.served = served
	}
	return t.found, err
}

// except marks the lanes of senders that the call under way does not lease from.
func (q *Queue) except(senders []id.Site) {
	for _, l := range q.lanes {
		l.isExcepted = false
	}
	for _, from := range senders {
		if l, ok := q.bySender[from]; ok {
			l.isExcepted = true
		}
	}
}

// findReady returns the lanes that may have a delivery which is due.
func (q *Queue) findReady(now time.Time) lanes {
	q.ready = q.ready[:0]
	for _, l := range q.lanes {
		if !l.isExcepted && l.canFind(now) {
			l.spent = max(l.spent, q.served)
			q.ready = append(q.ready, l)
		}
	}
	heap.Init(&q.ready)
	return q.ready
}

// lane returns the lane of a sender, and adds an absent one.
func (q *Queue) lane(from id.Site) *lane {
	l, ok := q.bySender[from]
	if !ok {
		l = newLane(from)
		q.bySender[from] = l
		q.lanes = append(q.lanes, l)
	}
	return l
}

// Senders lists the senders that have or had a delivery in the queue, by name.
func (q *Queue) Senders() []id.Site {
	q.mu.Lock()
	defer q.mu.Unlock()
	names := make([]id.Site, len(q.lanes))
	for i, l := range q.lanes {
		names[i] = l.from
	}
	slices.Sort(names)
	return names
}

// Waiting returns a place for each sender with a delivery that may wait in an order. Before it none
// does. It may lag behind by one commit.
func (q *Queue) Waiting(o Order) (places []Position) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, l := range q.lanes {
		if at := l.line(o).floor(); o == ByTime && l.mayRest() || o == BySequence &&
			at.Seq <= l.last {
			places = append(places, at)
		}
	}
	slices.SortFunc(places, func(a, b Position) int {
		return strings.Compare(string(a.From), string(b.From))
	})
	return places
}

// lanes is a heap, the lane that has spent least first.
type lanes []*lane

func (h lanes) Len() int { return len(h) }
func (h lanes) Less(i, j int) bool {
	c := cmp.Compare(h[i].spent, h[j].spent)
	return c < 0 || c == 0 && h[i].from < h[j].from
}
func (h lanes) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *lanes) Push(x any)   { *h = append(*h, x.(*lane)) }
func (h *lanes) Pop() any     { return popLast((*[]*lane)(h)) }
