package queue

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"sealpost/internal/id"
	"sealpost/spool"
)

// store is a queue's stored deliveries, as an engine would have committed them.
type store struct {
	at   map[Position]string
	cost map[string]int64 // by value; absent: 1
	fail error            // returned by the next Get or Scan
}

func (s *store) view(read func(Snapshot) error) error { return read(s) }

func (s *store) failure() error {
	err := s.fail
	s.fail = nil
	return err
}

// Get implements Snapshot.
func (s *store) Get(p Position) ([]byte, error) {
	if v, ok := s.at[p]; ok {
		return []byte(v), s.failure()
	}
	return nil, s.failure()
}

// Scan implements Snapshot.
func (s *store) Scan(o Order, from Position, yield func(Position, []byte) (bool, error)) error {
	for _, p := range s.sorted(from.From, o) {
		if p.Before(from) {
			continue
		}
		if more, err := yield(p, []byte(s.at[p])); !more || err != nil {
			return errors.Join(err, s.failure())
		}
	}
	return s.failure()
}

// Cost implements Snapshot.
func (s *store) Cost(value []byte) int64 { return max(1, s.cost[string(value)]) }

// sorted lists the deliveries of a sender in one order.
func (s *store) sorted(from id.Site, o Order) []Position {
	return slices.SortedFunc(func(yield func(Position) bool) {
		for p := range maps.Keys(s.at) {
			if p.From == from && p.order() == o && !yield(p) {
				return
			}
		}
	}, func(a, b Position) int {
		switch {
		case a.Before(b):
			return -1
		case b.Before(a):
			return 1
		}
		return 0
	})
}

// bench is a queue, its store and a clock.
type bench struct {
	t       testing.TB
	q       *Queue
	store   store
	now     time.Time
	session id.Session
	last    uint64
}

func newBench(t testing.TB) *bench {
	return &bench{
		t: t, q: New("ca_rc_queue"),
		store: store{at: map[Position]string{}, cost: map[string]int64{}},
		now:   time.UnixMilli(1_760_000_000_000), session: "a",
	}
}

var errStore = errors.New("the store cannot be read")

// publish commits so many deliveries of one sender.
func (b *bench) publish(n int) { b.publishFrom("FL-LAB", n, 1) }

// publishFrom commits so many deliveries of a sender, with the cost of each.
func (b *bench) publishFrom(from id.Site, n int, cost int64) {
	for range n {
		b.last++
		b.store.at[Position{From: from, Seq: b.last}] = fmt.Sprint("delivery ", b.last)
		b.store.cost[fmt.Sprint("delivery ", b.last)] = cost
	}
	b.q.Grow(from, b.last)
}

// request asks for up to max deliveries, for a minute.
func (b *bench) request(max int) spool.LeaseRequest {
	return spool.LeaseRequest{Queue: "ca_rc_queue", Session: b.session, Max: max,
		Duration: time.Minute}
}

func (b *bench) try(req spool.LeaseRequest) ([]Lease, Wait, error) {
	if err := b.q.Begin(req); err != nil {
		return nil, Wait{}, err
	}
	return b.q.Lease(req, b.now, b.store.view)
}

func (b *bench) lease(max int) []Lease {
	b.t.Helper()
	leased, _, err := b.try(b.request(max))
	if err != nil {
		b.t.Fatal(err)
	}
	return leased
}

// expect leases all there is, and compares the sequences.
func (b *bench) expect(want ...uint64) []Lease {
	b.t.Helper()
	leased := b.lease(100)
	if got := sequences(leased); !slices.Equal(got, want) {
		b.t.Fatalf("leased %v, want %v", got, want)
	}
	return leased
}

func sequences(leased []Lease) (all []uint64) {
	for _, l := range leased {
		all = append(all, l.Seq)
	}
	return all
}

// settle commits the removal of a delivery.
func (b *bench) settle(p Position) {
	delete(b.store.at, p)
	b.q.Gone(p)
}

// release commits a leased delivery's move to a later time.
func (b *bench) release(l Lease, delay time.Duration) Position {
	b.t.Helper()
	from, _, err := b.q.Detach(l.Token, b.now)
	if err != nil {
		b.t.Fatal(err)
	}
	to := Position{from.From, b.now.Add(delay).UnixMilli(), from.Seq}
	b.store.at[to] = b.store.at[from]
	delete(b.store.at, from)
	b.q.Moved(from, to)
	return to
}

// restart begins a new process at the stored cursors.
func (b *bench) restart() {
	old := b.q
	b.q = New("ca_rc_queue")
	for _, from := range old.Senders() {
		b.q.Restore(from, old.Cursors(from), b.last, int64(len(b.store.sorted(from, ByTime))))
	}
}
