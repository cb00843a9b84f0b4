package outbox

import (
	"context"
	"os"
	"slices"
	"testing"
	"time"

	"sealpost/agent/ledger"
	"sealpost/internal/id"
	"sealpost/internal/line"
	"sealpost/internal/reason"
	"sealpost/internal/testkit"
)

// routed lets the desk seal, for one centre, the messages that wait for an address.
func (s *sealer) routed(addresses ...string) {
	route := s.route()
	s.desk.tell(func() {
		for _, a := range addresses {
			s.desk.routes.by[a] = route
		}
		s.desk.open()
	})
}

// busy leaves no sealer free.
func (s *sealer) busy() {
	s.desk.tell(func() {
		for _, l := range s.desk.lanes {
			l.free, l.more = 0, false
		}
	})
}

func (s *sealer) idle() {
	s.desk.tell(func() { s.desk.lanes[0].free, s.desk.lanes[1].free = smallSealers, largeSealers })
}

// TestWhatWasJustClaimedIsSealedAtOnce seals messages without a row that says that they wait,
// unless others wait before them.
func TestWhatWasJustClaimedIsSealedAtOnce(t *testing.T) {
	s := newSealer(t)
	before := s.taken("before the hub is known")[0]
	if s.state(before) != ledger.Taken {
		t.Errorf("before the hub is known it is %s", s.state(before))
	}
	s.routed(before.Address)
	testkit.Eventually(s.t, "it is sealed", func() bool { return s.state(before) == ledger.Sealed })
	m := s.taken("a sealer is free")[0]
	testkit.Eventually(s.t, "it is sealed", func() bool { return s.state(m) == ledger.Sealed })

	s.busy()
	held := s.taken("no sealer is free")[0]
	if s.state(held) != ledger.Claimed || !s.held(held.UID) {
		t.Errorf("it is %s, in hand %t", s.state(held), s.held(held.UID))
	}
	if _, err := s.Recall(t.Context(), string(held.ID)); err != nil ||
		s.state(held) != ledger.Failed {
		t.Errorf("it cannot be recalled while it waits for a sealer: %s, %v", s.state(held), err)
	}
	last := s.taken("none gets free")[0]
	testkit.Eventually(s.t, "it waits in the ledger", func() bool {
		return s.state(last) == ledger.Taken &&
			!s.held(last.UID)
	})
	if next := s.taken("behind it")[0]; s.state(next) != ledger.Taken {
		t.Errorf("behind others it is %s", s.state(next))
	}
	s.idle()
	testkit.Eventually(s.t, "all are sealed", func() bool { return s.state(last) == ledger.Sealed })

	s.tray.Hold = time.Hour
	if kept := s.taken("what is held")[0]; s.state(kept) != ledger.Taken {
		t.Errorf("a message that is held is %s", s.state(kept))
	}
}

// TestWhatMayNotBeSentWaitsInTheLedger queues messages for an address that is blocked, and lets
// another one pass.
func TestWhatMayNotBeSentWaitsInTheLedger(t *testing.T) {
	s := newSealer(t)
	s.desk.tell(func() {
		s.desk.routes.by["fl-lab.dat"] = &decision{blocked: reason.Text("too many sites"),
			until: time.Now().Add(time.Hour)}
	})
	s.routed("fl-lab.seq")
	m := s.taken("blocked")[0]
	testkit.Eventually(s.t, "it waits in the ledger", func() bool {
		return s.state(m) == ledger.Taken &&
			!s.held(m.UID)
	})
	s.tray.Address = id.Address{RoutingKey: "fl-lab.seq"}
	other := s.taken("sorted behind")[0]
	testkit.Eventually(s.t, "the other is sealed", func() bool {
		return s.state(other) == ledger.Sealed
	})
	if s.state(m) != ledger.Taken {
		t.Errorf("it is %s", s.state(m))
	}
}

// TestAMessageThatCannotBeSealed sets the one aside, and seals those that were read with it.
func TestAMessageThatCannotBeSealed(t *testing.T) {
	s := newSealer(t)
	list := s.taken("a", "changed", "b")
	if err := os.WriteFile(s.at(sourceAt(list[1])), []byte("something longer than it was"),
		0o644); err != nil {
		t.Fatal(err)
	}
	s.routed(list[0].Address)
	testkit.Eventually(s.t, "the others are sealed", func() bool {
		return s.state(list[0]) == ledger.Sealed &&
			s.state(list[2]) == ledger.Sealed
	})
	testkit.Eventually(s.t, "it waits to be looked at", func() bool {
		return s.state(list[1]) == ledger.Claimed && !s.held(list[1].UID)
	})
}

// TestTheDeskEndsWithItsWorkers leaves no worker behind, and answers no question afterwards.
func TestTheDeskEndsWithItsWorkers(t *testing.T) {
	s := newSealer(t)
	s.taken("a")
	d := newDesk(s.Outbox)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.run(ctx) }()
	d.tell(func() {
		d.work(func() func() error {
			<-ctx.Done()
			return func() error { return ctx.Err() }
		})
	})
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := d.ask(t.Context(), func() { t.Error("it is answered") }); err == nil {
		t.Error("it does not say that it has ended")
	}
}

// TestReservedBeforeTheRead lets a sweep and a recall see the row of a claim at once.
func TestReservedBeforeTheRead(t *testing.T) {
	s := newSealer(t)
	list := s.claimed("a", "b")
	d := s.desk
	d.tell(func() { d.beginClaim(list[:1]) })
	if free := d.freeOf(list); len(free) != 1 || free[0].UID != list[1].UID {
		t.Errorf("free are %v", free)
	}
	recalled := make(chan error, 1)
	go func() {
		_, err := s.Recall(t.Context(), string(list[0].ID))
		recalled <- err
	}()
	testkit.Eventually(s.t, "the recall waits", func() (waits bool) {
		d.tell(func() { waits = len(d.waiters) == 1 })
		return waits
	})
	d.tell(func() { d.endClaim(list[:1], list[:1]) })
	if free := d.freeOf(list[:1]); len(free) != 0 {
		t.Errorf("free are %v, and their claim goes on", free)
	}
	d.release(list[0])
	if err := <-recalled; err != nil {
		t.Error(err)
	}
	if d.tell(func() {
		if len(d.claims) > 0 {
			t.Errorf("names are left: %v", d.claims)
		}
	}); s.state(list[0]) != ledger.Failed {
		t.Errorf("it is %s", s.state(list[0]))
	}
}

// TestRecallAfterALostLedger reports a message as unsent only if it was certainly not sent before.
func TestRecallAfterALostLedger(t *testing.T) {
	s := newSealer(t)
	for before, want := range map[reason.Code]reason.Code{
		"": "recalled", reason.LedgerLost: reason.RecalledAfterLoss,
		reason.LostByHub: reason.RecalledAfterHub,
	} {
		m := s.taken(string(want))[0]
		s.update(func(tx *ledger.Tx) error {
			return tx.Explain(m.UID, reason.Reason{Code: before})
		})
		r, err := s.Recall(t.Context(), string(m.ID))
		if err != nil || r.ID != m.ID || r.Reason.Code != want {
			t.Errorf("%q: %+v, %v", before, r, err)
		}
	}
}

// An envelope that the hub takes does not end the wait of another one for the same address.
func TestARefusalEndsWithItsEnvelope(t *testing.T) {
	s := newSealer(t)
	envelope := func(e id.Envelope) *sealed {
		return &sealed{Envelope: ledger.Envelope{ID: e, Address: "fl-lab.dat"}}
	}
	s.desk.refuse(envelope("large"), reason.New("hub-full"))
	over := &running{lane: s.desk.lanes[0], isReplaced: true} // its place is another's
	ends := func(e id.Envelope) {
		s.desk.tell(func() {
			if err := s.desk.sent(e, over, retry{}, nil); err != nil {
				t.Error(err)
			}
		})
	}
	ends("small")
	d := s.blocked(t.Context())
	if why := d.addresses["fl-lab.dat"]; why.Code != "hub-full" {
		t.Errorf("the address waits for %+v", why)
	}
	for e, want := range map[id.Envelope]reason.Code{"large": "hub-full", "small": ""} {
		m := Message{State: ledger.Sealed, Address: "fl-lab.dat", Envelope: e}
		if why := d.of(m); why.Code != want {
			t.Errorf("the %s one waits for %+v", e, why)
		}
	}
	ends("large")
	if why := s.blocked(t.Context()).addresses; len(why) > 0 {
		t.Errorf("nothing waits, and users are told %v", why)
	}
}

// Retry ends the pause before the next publish.
func TestRetryEndsThePauseOfAPublish(t *testing.T) {
	s := newSealer(t)
	ended := make(chan error, 1)
	go func() { ended <- s.awaitRetry(t.Context(), time.Hour) }()
	testkit.Eventually(t, "the pause ends", func() bool {
		s.Retry()
		return len(ended) > 0
	})
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A tray with a limit has a sealer of its own, and no other: its messages may wait for long.
func TestALimitedTrayHoldsUpNoOther(t *testing.T) {
	limit := line.New(func(time.Time) int64 { return 64 << 10 })
	o := &Outbox{trays: []*box{{Tray: Tray{Name: "slow", Line: limit}}, {Tray: Tray{Name: "fast"}}}}
	d := newDesk(o)
	l := d.lanes[0]
	want := func(label string, names ...string) {
		t.Helper()
		if got := d.withPlace(l); !slices.Equal(got, names) || d.hasAnyPlace(l) != (len(got) > 0) {
			t.Errorf("%s: there is a sealer for %v, want %v", label, got, names)
		}
	}
	want("at first", "slow", "fast")
	d.takePlace(l, "slow")
	want("the limited tray has its own", "fast")
	if l.free != smallSealers {
		t.Errorf("%d sealers are left to the others", l.free)
	}
	for range smallSealers {
		d.takePlace(l, "fast")
	}
	want("all are at work")
	l.more = false
	d.givePlace(l, "slow")
	want("its own is free again", "slow")
	if !l.more {
		t.Error("its messages in the ledger are not looked for")
	}
	d.givePlace(l, "fast")
	want("one more is free", "slow", "fast")
}
