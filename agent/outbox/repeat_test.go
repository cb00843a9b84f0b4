package outbox

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"sealpost/agent/ledger"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/internal/testkit"
)

// sendsFile has a file with this content taken, sealed and delivered.
func (s *sealer) sendsFile(name, content string, at time.Time) ledger.Outgoing {
	s.t.Helper()
	path := put(s.t, s.at("outbox"), name)
	testkit.Must(s.t, os.WriteFile(path, []byte(content), 0o644))
	testkit.Must(s.t, os.Chtimes(path, at, at))
	s.claimAll(newFinder(s.tray))
	m := s.last()
	e, err := s.seal(s.t.Context(), *newJob(s.route(), []ledger.Outgoing{m}))
	testkit.Must(s.t, err)
	if e.stream != nil {
		hub := &modelHub{}
		hub.forget()
		s.hub = hub
		testkit.Must(s.t, e.stream.upload(s.t.Context()))
		e.free()
	}
	s.update(func(tx *ledger.Tx) error {
		return errors.Join(tx.Publish(e.ID, "incarnation", 1, time.Now()),
			tx.Answer(ledger.Answer{Envelope: e.ID, Site: "CA-RC", Receipt: "r", Time: time.Now(),
				Outcomes: []ledger.Outcome{{UID: m.UID, Outcome: ledger.OutcomeDelivered}}}))
	})
	s.file()
	m.State = ledger.Delivered
	return m
}

// Users are told of a file that was delivered before, with whatever time, also after a restart.
func TestARepeatedFileIsTold(t *testing.T) {
	s := newSealer(t)
	s.tray.RepeatWindow = time.Hour
	old, later := time.Unix(1_700_000_000, 0), time.Unix(1_700_000_100, 0)
	first := s.sendsFile("a.csv", "one", old)
	if why := s.why(first); !why.IsZero() {
		t.Errorf("of the first users are told %q", why)
	}
	for i, c := range []struct {
		name, content string
		at            time.Time
		told          bool
	}{
		{"a.csv", "one", old, true}, {"a.csv", "one", later, true}, {"b.csv", "one", old, false},
		{"a.csv", "two", later, false}, {"a.csv", "owt", later, false},
		{"a.csv", "owt", later, true},
	} {
		if i == 1 {
			s.repeats = repeats{} // as after a restart
		}
		why := s.why(s.sendsFile(c.name, c.content, c.at))
		if (why.Code == "sent-before") != c.told || !c.told && !why.IsZero() {
			t.Errorf("%d: users are told %q", i, why)
		}
		if i == 0 && !strings.Contains(why.String(), string(first.ID)) {
			t.Errorf("users are told %q", why)
		}
	}
	s.tray.RepeatWindow = -time.Hour // below any gap, also one within a millisecond
	if why := s.why(s.sendsFile("a.csv", "owt", later)); !why.IsZero() {
		t.Errorf("long after the first: %q", why)
	}
}

// The oldest names are forgotten, but not one that came again.
func TestRepeatsAreBounded(t *testing.T) {
	var r repeats
	message := func(seq int) ledger.Outgoing {
		return ledger.Outgoing{Seq: int64(seq), Name: fmt.Sprint(seq)}
	}
	first := message(1)
	for seq := 1; seq <= maxRepeats; seq++ {
		r.swap(message(seq))
	}
	first.Seq = maxRepeats + 1
	if before := r.swap(first); before != 1 {
		t.Errorf("the first is %d", before)
	}
	r.swap(message(maxRepeats + 2))
	if len(r.last) != maxRepeats || len(r.turns) != maxRepeats {
		t.Errorf("%d names, %d turns", len(r.last), len(r.turns))
	}
	second := message(2)
	second.Seq = maxRepeats + 3
	if before := r.swap(second); before != 0 {
		t.Errorf("the second is still %d", before)
	}
	first.Seq = maxRepeats + 4
	if before := r.swap(first); before != maxRepeats+1 {
		t.Errorf("the one that came again is %d", before)
	}
}

// A tray can leave such a file where it lies, also after a restart. Another content, a later time
// and a resend are sent.
func TestARepeatedFileIsLeft(t *testing.T) {
	for name, size := range map[string]int{"small": 3, "large": ownSyncSize + 1} {
		t.Run(name, func(t *testing.T) {
			s := newSealer(t)
			s.tray.RepeatWindow, s.tray.LeavesRepeats = time.Hour, true
			content := strings.Repeat("1", size)
			first := s.sendsFile("a.csv", content, time.Unix(1_700_000_000, 0))
			drop := func(content string) string {
				path := put(t, s.at("outbox"), "a.csv")
				testkit.Must(t, os.WriteFile(path, []byte(content), 0o644))
				return path
			}
			f := newFinder(s.tray)
			for i := range 3 {
				drop(content)
				if i == 2 {
					s.repeats, f = repeats{}, newFinder(s.tray)
				}
				s.claimAll(f)
				why := s.tray.notes["a.csv"]
				if s.count() != 1 || why.Code != reason.LeftRepeat ||
					!strings.Contains(why.String(), string(first.ID)) {
					t.Fatalf("%d messages, users are told %q", s.count(), why)
				}
			}
			drop(strings.Repeat("2", size))
			s.claimAll(f)
			if s.count() != 2 || s.last().Source.Size != int64(size) {
				t.Fatalf("another content of that size is left: %d messages", s.count())
			}
			drop(content)
			s.claimAll(f)
			s.tray.resend("a.csv")
			s.claimAll(f)
			if n := s.count(); n != 3 {
				t.Errorf("a resend is left: %d messages", n)
			}
			s.tray.resent = nil
			s.delivers()
			s.tray.RepeatWindow = -time.Hour // below any gap, also one within a millisecond
			drop(content)
			s.claimAll(f)
			if n := s.count(); n != 4 {
				t.Errorf("long after the first it is left: %d messages", n)
			}
		})
	}
}

// A job brings a file at each run while its first message is under way, sealed or not. It is left,
// and users are told. Once that message has failed it is sent.
func TestARepeatOfAMessageUnderWayIsLeft(t *testing.T) {
	s := newSealer(t)
	s.tray.RepeatWindow, s.tray.LeavesRepeats = time.Hour, true
	f := newFinder(s.tray)
	left := func(of ledger.Outgoing, code reason.Code) {
		t.Helper()
		n := s.count()
		put(t, s.at("outbox"), "a.csv")
		s.claimAll(f)
		if why := s.tray.notes["a.csv"]; s.count() != n || why.Code != code ||
			!strings.Contains(why.String(), string(of.ID)) {
			t.Fatalf("%d messages of %d, users are told %q", s.count(), n, why)
		}
	}
	put(t, s.at("outbox"), "a.csv")
	s.claimAll(f)
	first := s.last()
	left(first, reason.LeftUnderWay)
	s.repeats, f = repeats{}, newFinder(s.tray) // as after a start
	left(first, reason.LeftUnderWay)
	testkit.Must(t, os.WriteFile(s.at("outbox/a.csv"), []byte("CONTENT"), 0o644))
	s.claimAll(f)
	if s.count() != 2 {
		t.Fatal("another content of that size is left")
	}
	second := s.last()
	put(t, s.at("outbox"), "a.csv")
	testkit.Must(t, os.WriteFile(s.at("outbox/a.csv"), []byte("CONTENT"), 0o644))
	s.claimAll(f)
	if why := s.tray.notes["a.csv"]; why.Code != reason.LeftUnderWay {
		t.Fatalf("users are told %q", why)
	}
	_, err := s.Recall(t.Context(), string(second.ID))
	testkit.Must(t, err)
	s.claimAll(f)
	if s.count() != 3 {
		t.Fatalf("after the recall users are told %v", s.tray.notes)
	}
}

// A file is sent again if a recipient of now has not had it. A message to one site alone does not
// take the place of the first.
func TestARepeatForAnotherRecipient(t *testing.T) {
	s := newSealer(t)
	s.tray.RepeatWindow, s.tray.LeavesRepeats = time.Hour, true
	first := s.sendsFile("a.csv", "one", time.Unix(1_700_000_000, 0))
	approve := func(sites ...id.Site) {
		s.update(func(tx *ledger.Tx) error { return tx.Approve(first.Address, sites) })
	}
	find := func(address string) id.Message {
		t.Helper()
		m, err := s.tray.repeatable(t.Context(), "a.csv", address, 3)
		testkit.Must(t, err)
		return m.ID
	}
	approve("CA-RC")
	if got := find(first.Address); got != first.ID {
		t.Errorf("the file of %s is a repeat of %q", first.ID, got)
	}
	if got := find("@SF-RC"); got != "" {
		t.Errorf("to another address it is a repeat of %q", got)
	}
	s.repeats.swap(ledger.Outgoing{Seq: 99, Tray: first.Tray, Address: "@SF-RC", Name: "a.csv"})
	if got := find(first.Address); got != first.ID {
		t.Errorf("after a message to one site it is a repeat of %q", got)
	}
	approve("CA-RC", "SF-RC")
	if got := find(first.Address); got != "" {
		t.Errorf("SF-RC has nothing, and it is a repeat of %q", got)
	}
}
