package queue

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sealpost/internal/id"
	"sealpost/spool"
)

// machine drives a queue at random, and knows which deliveries it may and must lease.
type machine struct {
	*bench
	leases map[uint64]Lease // by sequence
	// the clock was set: the order depends on the time at which each was seen
	jumped bool
	after  []func() // a commit's calls of the queue that have not been made yet
	// those that rested when a new session came
	hurried map[Position]bool
	// cost of the leased ones since all of these senders have something waiting at each call
	served map[id.Site]int64
}

var senders = []id.Site{"FL-LAB", "PA-LAB", "NY-LAB"}

const maxCost = spool.Turn // of a delivery

// TestModel leases, settles, releases and expires at random; each lease is compared with the stored
// deliveries.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &machine{bench: newBench(t), leases: map[uint64]Lease{}}
		rt.Repeat(map[string]func(*rapid.T){
			"": m.check,
			"publish": func(rt *rapid.T) {
				m.publishFrom(rapid.SampledFrom(senders).Draw(rt, "sender"),
					rapid.IntRange(1, 12).Draw(rt, "deliveries"),
					rapid.Int64Range(1, maxCost).Draw(rt, "cost"))
			},
			"lease":   m.lease,
			"settle":  m.settle,
			"release": m.release,
			"hold":    m.hold,
			"extend":  m.extend,
			"tell":    func(*rapid.T) { m.tell() },
			"pass": func(rt *rapid.T) {
				m.now = m.now.Add(time.Duration(
					rapid.IntRange(1, 50_000).Draw(rt, "ms")) * time.Millisecond)
			},
			"set": func(rt *rapid.T) {
				m.jumped = true
				m.now = m.now.Add(time.Duration(
					rapid.IntRange(-200, 200).Draw(rt, "hours")) * time.Hour)
			},
			"unread": func(rt *rapid.T) {
				m.store.fail = errStore
				m.try(m.request(3))
				m.store.fail = nil
			},
			"session": m.newSession,
			"restart": func(*rapid.T) {
				m.tell()
				m.restart()
				m.leases, m.hurried, m.served = map[uint64]Lease{}, nil, nil
			},
		})
	})
}

// newSession takes the queue, and ends the leases of the session before it. Deliveries that rested
// for that one are due.
func (m *machine) newSession(rt *rapid.T) {
	if m.q.session != "" {
		m.hurried = map[Position]bool{}
		for p := range m.store.at {
			m.hurried[p] = p.Due != Held
		}
	}
	m.session, m.leases = id.Random128[id.Session](), map[uint64]Lease{}
	if err := m.q.Begin(m.request(1)); err != nil {
		rt.Fatal(err)
	}
}

// isHeld reports whether a delivery is leased now.
func (m *machine) isHeld(seq uint64) bool {
	l, ok := m.leases[seq]
	return ok && m.now.Before(l.Until)
}

// isDue reports whether a delivery may be leased now. Its rest is over, or a wrong clock has set
// its time.
func (m *machine) isDue(p Position) bool {
	return p.Due <= m.now.UnixMilli() || p.Due != Held &&
		p.Due > m.now.Add(spool.MaxDelay).UnixMilli()
}

// offered lists the deliveries of a sender that a call may lease now, in order. Those that rested
// for an earlier session come after those that are due.
func (m *machine) offered(from id.Site) (all []Position) {
	var hurried []Position
	for _, p := range m.store.sorted(from, ByTime) {
		switch {
		case m.isHeld(p.Seq):
		case m.isDue(p):
			all = append(all, p)
		case m.hurried[p]:
			hurried = append(hurried, p)
		}
	}
	all = append(all, hurried...)
	for _, p := range m.store.sorted(from, BySequence) {
		if !m.isHeld(p.Seq) {
			all = append(all, p)
		}
	}
	return all
}

// lease compares a call with the stored deliveries. While the queue has still to be told of a
// commit, some may be missing.
func (m *machine) lease(rt *rapid.T) {
	max := rapid.IntRange(1, 8).Draw(rt, "max")
	offered := map[id.Site][]Position{}
	waiting := 0
	for _, from := range senders {
		offered[from] = m.offered(from)
		waiting += len(offered[from])
	}
	leased, _, err := m.try(m.request(max))
	if err != nil {
		rt.Fatal(err)
	}
	got := map[id.Site][]Position{}
	for _, l := range leased {
		if m.isHeld(l.Seq) {
			rt.Fatalf("delivery %d is leased twice", l.Seq)
		}
		if v, ok := m.store.at[l.Position]; !ok || v != string(l.Value) || !m.jumped &&
			!m.isDue(l.Position) && !m.hurried[l.Position] {
			rt.Fatalf("leased %v as %q, and it holds %q", l.Position, l.Value, v)
		}
		m.leases[l.Seq] = l
		got[l.From] = append(got[l.From], l.Position)
	}
	want := min(max, waiting)
	if len(m.after) > 0 || m.jumped && len(leased) >= want {
		// one that was due before the clock was set is still leased
		m.served = nil
		return
	}
	if len(leased) != want {
		rt.Fatalf("leased %v, want %d of %v", leased, want, offered)
	}
	for from, all := range got {
		if !slices.Equal(all, offered[from][:min(len(all), len(offered[from]))]) {
			rt.Fatalf("leased %v, want %v", all, offered[from])
		}
	}
	m.compareTurns(rt, offered, leased)
}

// compareTurns holds the senders that have had something waiting at each call against each other.
func (m *machine) compareTurns(rt *rapid.T, offered map[id.Site][]Position, leased []Lease) {
	cost, count := map[id.Site]int64{}, map[id.Site]int{}
	for _, l := range leased {
		cost[l.From] += m.store.Cost(l.Value)
		count[l.From]++
	}
	before := m.served
	m.served = map[id.Site]int64{}
	for _, from := range senders {
		if len(offered[from]) > count[from] {
			m.served[from] = cost[from]
		}
	}
	if !slices.Equal(slices.Sorted(maps.Keys(m.served)), slices.Sorted(maps.Keys(before))) {
		before = nil // others than before: they are counted from this call on
	}
	least, most := int64(math.MaxInt64), int64(0)
	for from := range m.served {
		m.served[from] += before[from]
		least, most = min(least, m.served[from]), max(most, m.served[from])
	}
	if most > 0 && most-least > 2*(spool.Turn+maxCost) {
		rt.Fatalf("the senders got %v", m.served)
	}
}

// some draws a stored delivery.
func (m *machine) some(rt *rapid.T) Position {
	var all []Position
	for _, from := range senders {
		all = slices.Concat(all, m.store.sorted(from, ByTime), m.store.sorted(from, BySequence))
	}
	if len(all) == 0 {
		rt.Skip("nothing is stored")
	}
	return rapid.SampledFrom(all).Draw(rt, "delivery")
}

// settle commits a settlement, leased or not, and tells the queue at once or later.
func (m *machine) settle(rt *rapid.T) {
	p := m.some(rt)
	delete(m.store.at, p)
	delete(m.leases, p.Seq)
	m.commit(rt, func() { m.q.Gone(p) })
}

// release hands a leased delivery back; a failed commit leaves it where it was.
func (m *machine) release(rt *rapid.T) {
	p := m.some(rt)
	if !m.isHeld(p.Seq) {
		rt.Skip("it is not leased")
	}
	from, first, err := m.q.Detach(m.leases[p.Seq].Token, m.now)
	if err != nil || from != p || first.IsZero() {
		rt.Fatalf("detach %v: %v, %v", p, from, err)
	}
	delete(m.leases, p.Seq)
	if rapid.IntRange(0, 3).Draw(rt, "fails") == 0 {
		m.q.Offer(from)
		return
	}
	delays := []time.Duration{0, time.Millisecond, time.Second, time.Hour}
	delay := rapid.SampledFrom(delays).Draw(rt, "delay")
	to := Position{from.From, m.now.Add(delay).UnixMilli(), from.Seq}
	delete(m.store.at, from)
	delete(m.hurried, to)
	m.store.at[to] = fmt.Sprint("delivery ", from.Seq)
	m.commit(rt, func() { m.q.Moved(from, to) })
}

// hold puts a delivery on hold, leased or not; one on hold is due then.
func (m *machine) hold(rt *rapid.T) {
	from := m.some(rt)
	to := Position{from.From, Held, from.Seq}
	if from.Due == Held {
		to.Due = m.now.UnixMilli()
	}
	delete(m.leases, from.Seq)
	delete(m.hurried, to)
	value := m.store.at[from]
	delete(m.store.at, from)
	m.store.at[to] = value
	m.commit(rt, func() { m.q.Moved(from, to) })
}

// commit makes the calls that follow a commit, at once or after other calls.
func (m *machine) commit(rt *rapid.T, tell func()) {
	m.after = append(m.after, tell)
	if rapid.Bool().Draw(rt, "at once") {
		m.tell()
	}
}

func (m *machine) tell() {
	for _, f := range m.after {
		f()
	}
	m.after = nil
}

func (m *machine) extend(rt *rapid.T) {
	p := m.some(rt)
	l, known := m.leases[p.Seq]
	if !known {
		rt.Skip("it was never leased")
	}
	until, err := m.q.Extend(l.Token, m.now)
	if held := m.isHeld(p.Seq); held != (err == nil) {
		rt.Fatalf("extend %v, held %t: %v", p, held, err)
	}
	if err == nil {
		l.Until = until
		m.leases[p.Seq] = l
	}
}

// check holds the cursors against the stored deliveries, and the number of leases against those
// that are known.
func (m *machine) check(rt *rapid.T) {
	for p := range m.store.at {
		c := m.q.Cursors(p.From)
		if len(m.after) == 0 && (p.Due == 0 && p.Seq < c.Head || p.Due != 0 &&
			p.Before(c.RetryHead)) {
			rt.Fatalf("%v waits, and the cursors are %+v", p, c)
		}
	}
	n := 0
	for seq, l := range m.leases {
		if m.isHeld(seq) {
			n++
		} else {
			l.Until = time.Time{} // for good, even if the clock is set back
			m.leases[seq] = l
		}
	}
	if got := m.q.Leased(m.now); len(m.after) == 0 && got > n {
		rt.Fatalf("%d are leased, want at most %d", got, n)
	}
	if len(m.q.expiry) != len(m.q.tokens) {
		rt.Fatalf("%d leases, and %d tokens", len(m.q.expiry), len(m.q.tokens))
	}
}

var _ Snapshot = (*store)(nil)
