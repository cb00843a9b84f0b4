package outbox

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"filippo.io/age"

	"sealpost/agent/ledger"
	"sealpost/agent/trust"
	"sealpost/envelope"
	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// sealer is an outbox with a ledger and files of its own, and a hub that does not answer.
type sealer struct {
	*Outbox
	t    testing.TB
	tray *box
	lab  testIdentity
}

func newSealer(t testing.TB) *sealer {
	t.Helper()
	identity, dir := labIdentity(t), t.TempDir()
	state := filepath.Join(dir, "state")
	mkdir(t, state)
	l, err := ledger.Open(filepath.Join(state, "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	o, err := New(Options{Site: "FL-LAB", Network: identity.network, State: state, Ledger: l,
		Trust:    &trust.Trust{Ledger: l},
		Identity: identity.Identity, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Trays: []Tray{{Folders: Folders{Dir: dir}, Name: "outbox",
			Address: id.Address{RoutingKey: "fl-lab.dat"}, Kind: "DAT", FirstNumber: 1}},
		Hub: api.NewClient(api.ClientOptions{Hubs: []string{"127.0.0.1:1"},
			TLS: &tls.Config{MinVersion: tls.VersionTLS13}, Site: "FL-LAB"})})
	if err != nil {
		t.Fatal(err)
	}
	s := &sealer{o, t, o.trays[0], identity}
	s.run()
	return s
}

// run runs the desk until the test ends. It seals nothing before open.
func (s *sealer) run() {
	s.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.desk.run(ctx) }()
	s.t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			s.t.Error(err)
		}
	})
}

// held reports whether the desk has a message in hand.
func (s *sealer) held(uid id.UID) (held bool) {
	s.desk.tell(func() { held = s.desk.inHand[uid] != 0 })
	return held
}

func (s *sealer) hold(list []ledger.Outgoing, by holder) {
	s.desk.tell(func() { s.desk.hold(list, by) })
}

// taken drops files and takes them, as the finder does.
func (s *sealer) taken(names ...string) []ledger.Outgoing {
	s.t.Helper()
	list := s.claimed(names...)
	s.hold(list, byClaim)
	if err := newFinder(s.tray).take(s.t.Context(), list, nil); err != nil {
		s.t.Fatal(err)
	}
	for i := range list {
		list[i].State = ledger.Taken
	}
	return list
}

func (s *sealer) state(m ledger.Outgoing) (state ledger.State) {
	s.t.Helper()
	err := s.ledger.View(s.t.Context(), func(tx *ledger.Tx) error {
		now, err := tx.Message(string(m.ID))
		state = now.State
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return state
}

// route is a decision to send to one centre.
func (s *sealer) route() *decision {
	s.t.Helper()
	key, err := age.GenerateHybridIdentity()
	if err != nil {
		s.t.Fatal(err)
	}
	return routeTo(key.Recipient().String())
}

func routeTo(key string) *decision {
	return &decision{address: id.Address{RoutingKey: "fl-lab.dat"}, version: "v",
		recipients: []envelope.Recipient{{Site: "CA-RC", Key: key}}}
}

// A job that waits for a sealer loses messages: one is recalled, one sealed by another, one taken
// back. That is no failure, nothing of them is sent, and the others are sealed.
func TestAJobGoesOnWithWhatStillWaits(t *testing.T) {
	s := newSealer(t)
	list := s.taken("recalled", "sealed elsewhere", "claimed again", "waits still", "so does this")
	route := s.route()
	if _, err := s.Recall(t.Context(), string(list[0].ID)); err != nil {
		t.Fatal(err)
	}
	first, err := s.seal(t.Context(), *newJob(route, list[1:2]))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.ledger.Update(t.Context(), func(tx *ledger.Tx) error {
		_, err := tx.Advance(list[2].UID, ledger.Taken, ledger.Claimed, reason.Reason{})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	next, err := s.send(t.Context(), *newJob(route, list))
	if err != nil || len(next.batches) != 1 || len(next.batches[0]) != 2 {
		t.Fatalf("tried again are %+v: %v", next, err)
	}
	if _, err := s.seal(t.Context(), *newJob(route, next.batches[0])); err != nil {
		t.Fatal(err)
	}
	for i, want := range []ledger.State{ledger.Failed, ledger.Sealed, ledger.Claimed, ledger.Sealed,
		ledger.Sealed} {
		if got := s.state(list[i]); got != want {
			t.Errorf("%s is %s, want %s", list[i].Name, got, want)
		}
	}
	err = s.ledger.View(t.Context(), func(tx *ledger.Tx) error {
		in, err := tx.InEnvelope(first.ID)
		if len(in) != 1 || in[0].UID != list[1].UID {
			t.Errorf("in the other envelope: %+v", in)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// A file that could not be moved stays noted while each sweep tries it again at its beginning.
func TestNotesDuringARetry(t *testing.T) {
	s := newSealer(t)
	f := newFinder(s.tray)
	put(t, s.tray.Outbox(), "held")
	f.claiming.add([]found{{name: "held"}})
	if ready, why := f.examine(opened(t, s.tray), "held"); ready != nil || !why.IsZero() {
		t.Errorf("before it is known: %v, %q", ready, why)
	}
	s.tray.setStuck(ledger.Outgoing{Name: "held"}, reason.New("held-from-moving"))
	ready, why := f.examine(opened(t, s.tray), "held")
	if ready != nil || why != reason.New("held-from-moving") {
		t.Errorf("when it is tried again: %v, %q", ready, why)
	}
}

// An ended message lies in sending/ for an instant yet, and can be sent again all the same.
func TestResendBeforeTheMove(t *testing.T) {
	s := newSealer(t)
	m := s.taken("data.csv")[0]
	if err := s.ledger.Update(t.Context(), func(tx *ledger.Tx) error {
		return tx.Fail(m.UID, reason.Text("why"), time.Now())
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Resend(t.Context(), Resending{Message: string(m.ID), To: "CA-RC"}); err != nil {
		t.Error(err)
	}
	if !exists(filepath.Join(s.tray.Outbox(), "@CA-RC", "data.csv")) {
		t.Error("no copy is in the outbox")
	}
}

// A message waits for one recipient and does not reach another. It can be sent to the second one
// again, and not to the first.
func TestResendWhileOthersAreWaitedFor(t *testing.T) {
	s := newSealer(t)
	m := s.taken("data.csv")[0]
	e := ledger.Envelope{ID: id.Random128[id.Envelope](), Address: m.Address,
		Recipients: []ledger.Recipient{{Site: "CA-RC", Key: "k"}, {Site: "SF-RC", Key: "k"}}}
	s.update(func(tx *ledger.Tx) error {
		return errors.Join(tx.Seal(e, []ledger.SealedMessage{{Seq: m.Seq, UID: m.UID}},
			ledger.Taken), tx.Publish(e.ID, "incarnation", 1, time.Now()),
			tx.Answer(ledger.Answer{Envelope: e.ID, Site: "CA-RC", Time: time.Now(),
				Outcomes: []ledger.Outcome{{UID: m.UID, Outcome: ledger.OutcomeDead,
					Code: recipientRemoved}}}))
	})
	if got := s.state(m); got != ledger.Published {
		t.Fatalf("it is %s", got)
	}
	_, err := s.Resend(t.Context(), Resending{Message: string(m.ID), To: "SF-RC"})
	if got := reason.Of(err).Code; got != "not-finished" {
		t.Errorf("to the one that is waited for: %v", err)
	}
	if _, err := s.Resend(t.Context(), Resending{Message: string(m.ID), To: "CA-RC"}); err != nil {
		t.Error(err)
	}
	if !exists(filepath.Join(s.tray.Outbox(), "@CA-RC", "data.csv")) {
		t.Error("no copy is in the outbox")
	}
}

// The folders of a tray that does not answer are not called missing.
func TestASilentTrayIsNotMissing(t *testing.T) {
	s := newSealer(t)
	s.tray.silent.Store(true)
	notes := map[string]reason.Reason{}
	if err := newFinder(s.tray).sweepTray(t.Context(), notes); err != nil || len(notes) > 0 {
		t.Errorf("users are told %v, %v", notes, err)
	}
}
