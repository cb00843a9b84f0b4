package inbox

import (
	"context"
	"slices"
	"sync"
	"time"

	"sealpost/hub/api"
	"sealpost/internal/id"
)

// turns holds leased deliveries until an opener takes them. The senders take turns: an opener takes
// the next delivery of the sender that has the fewest openers at work, then of the one that has had
// the least of their time. So a sender with many deliveries or with expensive ones delays its own.
type turns struct {
	openers int // without guests

	mu      sync.Mutex // guards everything below
	atWork  int        // openers, with guests
	senders map[id.Site]*line
	waiting int
	served  time.Duration // spent by the sender of the newest turn before it
	changed chan struct{} // closed at the next change
}

// line is one sender's part of the turns.
type line struct {
	list    []*delivery
	openers int           // at work for it
	spent   time.Duration // of the openers' time
}

func newTurns(openers int) *turns {
	return &turns{openers: openers, senders: map[id.Site]*line{}, changed: make(chan struct{})}
}

// opener is a kind of opener.
type opener int

// Guests take only from senders with no opener at work, and only while all the other openers are
// at work. So a sender that has all of them holds up no other.
const (
	regular opener = iota
	guest
)

// guests is the number of openers of that kind.
const guests = 2

// put adds a delivery behind those of its sender.
func (t *turns) put(d *delivery) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.senders[d.Sender]
	if l == nil {
		l = &line{spent: t.served}
		t.senders[d.Sender] = l
	}
	l.list = append(l.list, d)
	t.waiting++
	t.wake()
}

// wake wakes all that wait for a change.
func (t *turns) wake() {
	close(t.changed)
	t.changed = make(chan struct{})
}

// next returns the next delivery for an opener, and waits for one. It returns nil after the context
// has ended. The caller calls done afterwards.
func (t *turns) next(ctx context.Context, kind opener) *delivery {
	for ctx.Err() == nil {
		t.mu.Lock()
		d, changed := t.take(kind), t.changed
		t.mu.Unlock()
		if d != nil {
			return d
		}
		select {
		case <-ctx.Done():
		case <-changed:
		}
	}
	return nil
}

// take takes the next delivery for an opener; nil if there is none.
func (t *turns) take(kind opener) *delivery {
	var next *line
	for _, l := range t.senders {
		if len(l.list) > 0 && (next == nil || l.openers < next.openers ||
			l.openers == next.openers && l.spent < next.spent) {
			next = l
		}
	}
	if next == nil || kind == guest && (t.atWork < t.openers || next.openers > 0) {
		return nil
	}
	t.atWork++
	d := next.list[0]
	next.list = slices.Delete(next.list, 0, 1)
	next.openers++
	t.served = next.spent
	t.waiting--
	t.wake()
	return d
}

// done ends an opener's work for a sender.
func (t *turns) done(from id.Site, took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.senders[from]
	t.atWork--
	l.openers--
	l.spent += took
	if l.openers == 0 && len(l.list) == 0 {
		delete(t.senders, from) // it saves nothing, and owes nothing
	}
	t.wake()
}

// displace removes the newest delivery of the sender with the most, and returns it if more than so
// many wait.
func (t *turns) displace(most int) *delivery {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.waiting <= most {
		return nil
	}
	var longest *line
	for _, l := range t.senders {
		if longest == nil || len(l.list) > len(longest.list) {
			longest = l
		}
	}
	last := len(longest.list) - 1
	d := longest.list[last]
	longest.list[last] = nil
	longest.list = longest.list[:last]
	t.waiting--
	return d
}

// drop removes the waiting deliveries of a sender, and returns them.
func (t *turns) drop(from id.Site) []*delivery {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.senders[from]
	if l == nil {
		return nil
	}
	list := l.list
	l.list = nil
	t.waiting -= len(list)
	t.wake()
	return list
}

// The limits of the small deliveries that wait for an opener.
const (
	maxOfSender = api.MaxLeases     // more of one sender are leased later
	maxWaiting  = 2 * api.MaxLeases // more are leased later
	// othersInterval is the wait for the openers of one sender before others are leased.
	othersInterval = 500 * time.Millisecond
)

// full returns the senders with too many waiting deliveries to lease more of them. It waits until
// something may be leased from the others. An error is the context's.
func (t *turns) full(ctx context.Context) ([]id.Site, error) {
	patience := time.NewTimer(othersInterval)
	defer patience.Stop()
	isPatient := true
	for {
		var list []id.Site
		t.mu.Lock()
		for from, l := range t.senders {
			if len(l.list) >= maxOfSender {
				list = append(list, from)
			}
		}
		isFull, changed := t.waiting >= maxWaiting, t.changed
		t.mu.Unlock()
		if !isFull && (len(list) == 0 || !isPatient) {
			slices.Sort(list)
			return list, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-changed:
		case <-patience.C:
			isPatient = false
		}
	}
}
