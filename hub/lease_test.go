package hub

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/spool"
)

// A waiting lease is answered as soon as something arrives.
func TestLeaseWaits(t *testing.T) {
	q := openHeadquarters(t)
	lab, centre := q.lab("FL-LAB"), q.centre("CA-RC", "#")
	got := make(chan api.Delivery)
	go func() { got <- centre.take() }()
	sent := lab.send(key("fl-lab.dat"), "x")
	if d := <-got; d.Envelope != sent.Envelope {
		t.Errorf("leased %+v", d)
	}
	none, err := centre.Lease(t.Context(), api.LeaseRequest{Session: centre.session(), Max: 1,
		Wait: time.Millisecond})
	if err != nil || len(none) != 0 {
		t.Errorf("with nothing there it leased %v, %v", none, err)
	}
}

func TestANewSessionTakesTheQueue(t *testing.T) {
	q := openHeadquarters(t)
	lab, centre := q.lab("FL-LAB"), q.centre("CA-RC", "#")
	lab.send(key("fl-lab.dat"), "x")
	d := centre.take()
	next := api.LeaseRequest{Session: id.Random128[id.Session](), Max: 1, MaxBytes: 100,
		Wait: time.Second}
	repeated, err := centre.Lease(t.Context(), next)
	if err != nil || len(repeated) != 1 || repeated[0].Envelope != d.Envelope {
		t.Fatalf("the new session leased %v, %v", repeated, err)
	}
	_, err = centre.Lease(t.Context(), api.LeaseRequest{Session: centre.session(), Max: 1})
	wantCode(t, err, api.CodeHeld)
	_, err = centre.Extend(t.Context(), d.Token)
	wantCode(t, err, api.CodeStale)
	if until, err := centre.Extend(t.Context(), repeated[0].Token); err != nil ||
		!until.After(time.Now()) {
		t.Errorf("extended until %s, %v", until, err)
	}
}

func TestReleasedComesAgain(t *testing.T) {
	q := openHeadquarters(t)
	lab, centre := q.lab("FL-LAB"), q.centre("CA-RC", "#")
	lab.send(key("fl-lab.dat"), "x")
	d := centre.take()
	wantCode(t,
		centre.Release(t.Context(),
			api.ReleaseRequest{Token: d.Token, Code: "the disk of Dr. Miller is full"}),
		api.CodeInvalid)
	if err := centre.Release(t.Context(),
		api.ReleaseRequest{Token: d.Token, Code: api.ReleaseFull}); err != nil {
		t.Fatal(err)
	}
	wantCode(t,
		centre.Release(t.Context(), api.ReleaseRequest{Token: d.Token, Code: api.ReleaseFull}),
		api.CodeStale)
	if repeated := centre.take(); repeated.Envelope != d.Envelope || repeated.Attempts != 1 {
		t.Errorf("it came again as %+v", repeated)
	}
}

// A delivery leased to a departed caller waits again at once, and that was no attempt.
func TestALeaseThatNobodyTakesGoesBack(t *testing.T) {
	q := newHeadquarters(t)
	store := &goneStore{leased: make(chan struct{}), leave: make(chan struct{})}
	q.wrap = func(s Store) Store { store.Store = s; return store }
	q.start()
	t.Cleanup(q.stop)
	lab, centre := q.lab("FL-LAB"), q.centre("CA-RC", "#")
	lab.send(key("fl-lab.dat"), "x")

	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, err := centre.Lease(ctx, api.LeaseRequest{Session: centre.session(), Max: 1,
			Wait: time.Minute})
		left <- err
	}()
	<-store.leased // the spool has leased it, and the answer is not written yet
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	close(store.leave)
	if d := centre.take(); d.Attempts != 0 {
		t.Errorf("it counts %d attempts", d.Attempts)
	}
}

// goneStore holds the first leased delivery until the caller has gone.
type goneStore struct {
	Store
	leased, leave chan struct{}
	once          bool
}

func (g *goneStore) Lease(ctx context.Context, req spool.LeaseRequest) ([]spool.Delivery, error) {
	got, err := g.Store.Lease(ctx, req)
	if len(got) > 0 && !g.once {
		g.once = true
		close(g.leased)
		<-g.leave
		<-ctx.Done()
	}
	return got, err
}

// A stopping hub answers waiting calls at once, and ends.
func TestStopAnswersWaits(t *testing.T) {
	q := newHeadquarters(t)
	waiting := make(chan struct{}, 2)
	q.wrap = func(s Store) Store { return waitStore{s, waiting} }
	q.start()
	t.Cleanup(q.stop)
	lab, centre := q.lab("FL-LAB"), q.centre("CA-RC", "#")
	done := make(chan error, 2)
	go func() {
		_, err := centre.Lease(t.Context(), api.LeaseRequest{Session: centre.session(), Max: 1,
			Wait: api.MaxWait})
		done <- err
	}()
	go func() {
		_, err := lab.Events(t.Context(), api.EventsRequest{Wait: api.MaxWait})
		done <- err
	}()
	<-waiting
	<-waiting
	began := time.Now()
	q.stop()
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("stopping took %s", took)
	}
}

// waitStore signals the start of each wait.
type waitStore struct {
	Store
	waiting chan struct{}
}

func (w waitStore) Lease(ctx context.Context, req spool.LeaseRequest) ([]spool.Delivery, error) {
	w.waiting <- struct{}{}
	return w.Store.Lease(ctx, req)
}

func (w waitStore) Events(ctx context.Context, s id.Site, after spool.Cursor,
	maxBytes int) ([]spool.Event, spool.Cursor, error) {
	w.waiting <- struct{}{}
	return w.Store.Events(ctx, s, after, maxBytes)
}

// A blocked sender is told, and others are not. Its deliveries wait.
func TestABlockedSenderIsTold(t *testing.T) {
	q := openHeadquarters(t)
	lab, other, centre := q.lab("FL-LAB"), q.lab("PA-LAB"), q.centre("CA-RC", "#")
	blockedBy := func(s *station) []id.Site {
		hello, err := s.Hello(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return hello.BlockedBy
	}
	lease := func(blocked ...id.Site) int {
		got, err := centre.Lease(t.Context(), api.LeaseRequest{Session: centre.session(), Max: 5,
			Wait: time.Millisecond, Blocked: blocked})
		if err != nil {
			t.Fatal(err)
		}
		return len(got)
	}
	lab.send(key("fl-lab.dat"), "x")
	other.send(key("pa-lab.dat"), "x")
	if n := lease("FL-LAB", "NY-LAB"); n != 1 {
		t.Errorf("%d are leased beside a blocked sender", n)
	}
	if got := blockedBy(lab); !slices.Equal(got, []id.Site{"CA-RC"}) || blockedBy(other) != nil {
		t.Errorf("FL-LAB is blocked by %v, PA-LAB by %v", got, blockedBy(other))
	}
	if n := lease(); n != 1 || blockedBy(lab) != nil {
		t.Errorf("%d are leased after the block, which is %v", n, blockedBy(lab))
	}
	_, err := centre.Lease(t.Context(), api.LeaseRequest{Session: centre.session(), Max: 5,
		Blocked: make([]id.Site, api.MaxExcept+1)})
	wantCode(t, err, api.CodeInvalid)
}

// The first request of an agent that has just ended arrives after those of its successor. It
// displaces no other.
func TestALateLeaseOfAnEndedAgent(t *testing.T) {
	q := openHeadquarters(t)
	lab, ca := q.lab("FL-LAB"), q.centre("CA-RC", "#")
	sessions := map[string]id.Session{"before": id.Random128[id.Session](),
		"ended": id.Random128[id.Session](), "running": id.Random128[id.Session]()}
	for _, c := range []struct {
		of          string
		number, got uint64
		want        int
		err         error
	}{
		{"before", 1, 0, 1, nil}, {"running", 1, 0, 0, nil}, {"running", 2, 1, 1, nil},
		{"ended", 1, 0, 0, nil}, {"running", 3, 2, 1, nil}, {"before", 2, 1, 0, api.ErrHeld},
		{"ended", 2, 0, 0, nil}, {"running", 4, 3, 1, nil},
	} {
		if c.number != 2 || c.of != "running" { // that one gets the delivery of the one before
			lab.send(key("fl-lab.dat"), "x")
		}
		got, err := ca.Lease(t.Context(), api.LeaseRequest{Session: sessions[c.of],
			Number: c.number, Got: c.got, Max: 1, MaxBytes: 1 << 20, Wait: 5 * time.Second})
		if !errors.Is(err, c.err) || len(got) != c.want {
			t.Fatalf("request %d of %s: %d deliveries, %v", c.number, c.of, len(got), err)
		}
	}
}
