package outbox

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"sealpost/agent/ledger"
	"sealpost/internal/reason"
	"sealpost/internal/testkit"
)

// A file that is being claimed lies in outbox/ for a moment longer, while the finder looks for
// more. It is not claimed twice, and a later file of the same name is not forgotten.
func TestAFileIsClaimedOnce(t *testing.T) {
	s := newSealer(t)
	f := newFinder(s.tray)
	put(t, s.tray.Outbox(), "data.csv")
	group := []found{examined(t, f, "data.csv")}
	f.claiming.add(group)
	if message, _ := f.examine(opened(t, s.tray), "data.csv"); message != nil {
		t.Fatal("it would be claimed a second time")
	}
	if f.pending["data.csv"] == nil {
		t.Fatal("nobody looks at that name again")
	}
	list, err := s.tray.claimRows(t.Context(), group)
	if err != nil {
		t.Fatal(err)
	}
	if !s.held(list[0].UID) {
		t.Fatal("the sweep would go on with it too")
	}
	if err := f.take(t.Context(), list, group); err != nil || s.state(list[0]) != ledger.Taken ||
		s.held(list[0].UID) {
		t.Fatalf("it is %s, held %t: %v", s.state(list[0]), s.held(list[0].UID), err)
	}
	put(t, s.tray.Outbox(), "data.csv")
	if other, why := f.examine(opened(t, s.tray), "data.csv"); other == nil {
		t.Fatalf("the second file of that name is not taken: %s", why)
	}
}

// A file that is written during its claim is not sealed as it was found. It does not wait for the
// next sweep, which may be an hour away.
func TestAWriteDuringAClaim(t *testing.T) {
	for _, changed := range []bool{false, true} {
		s := newSealer(t)
		f := newFinder(s.tray)
		for _, name := range []string{"a", "b"} {
			put(t, s.tray.Outbox(), name)
		}
		list, err := s.tray.claimRows(t.Context(),
			[]found{examined(t, f, "a"), examined(t, f, "b")})
		if err != nil {
			t.Fatal(err)
		}
		v, err := s.tray.moveAll(t.Context(), list)
		testkit.Must(t, err)
		if changed {
			if err := os.WriteFile(s.at(sourceAt(v.moved[0])),
				[]byte("more than was there when it was found"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.take(t.Context(), v.moved, nil); err != nil {
			t.Fatal(err)
		}
		want := map[bool]ledger.State{false: ledger.Taken, true: ledger.Claimed}
		if a, b := s.state(list[0]), s.state(list[1]); a != want[changed] || b != ledger.Taken {
			t.Errorf("changed %t: it is %s, the one claimed with it %s", changed, a, b)
		}
		select {
		case <-f.recheckClaims:
			if !changed {
				t.Error("it is looked at again and nothing has changed")
			}
		default:
			if changed {
				t.Error("it waits for the next sweep")
			}
		}
	}
}

func examined(t testing.TB, f *finder, name string) found {
	t.Helper()
	ready, why := f.examine(opened(t, f.t), name)
	if ready == nil {
		t.Fatalf("%s is not ready: %s", name, why)
	}
	return *ready
}

// A message that cannot be moved is released, so that the sweep retries it once it can be moved.
func TestWhatCannotBeMovedIsLetGoOf(t *testing.T) {
	s := newSealer(t)
	f := newFinder(s.tray)
	put(t, s.tray.Outbox(), "data.csv")
	list, err := s.tray.claimRows(t.Context(), []found{examined(t, f, "data.csv")})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(s.tray.Outbox(), "data.csv")); err != nil {
		t.Fatal(err)
	}
	if err := f.take(t.Context(), list, nil); err != nil || s.state(list[0]) != ledger.Claimed ||
		s.held(list[0].UID) {
		t.Errorf("it is %s, held %t: %v", s.state(list[0]), s.held(list[0].UID), err)
	}
}

// At a start an empty folder sending may be another one, as on a mount point without its disk. Or
// it is the same and emptied by a user, or a new one that a user has made for it.
func TestWhichFolderIsTheTraysAtAStart(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		before           string
		changed, claimed time.Duration // from now
		other            bool
	}{
		"an old one":    {"elsewhere", -time.Hour, -time.Minute, true},
		"emptied since": {"elsewhere", -time.Second, -time.Minute, false},
		"made again":    {"elsewhere", 0, -time.Minute, false},
		"as old as what was moved into it": {"elsewhere", -time.Minute - time.Second, -time.Minute,
			false},
		"the one that it was":    {"here", -time.Hour, -time.Minute, false},
		"nothing is known":       {"", -time.Hour, -time.Minute, false},
		"a clock that was ahead": {"elsewhere", -time.Hour, time.Hour, false},
	} {
		if other := isOther(c.before, "here", now.Add(c.changed), now.Add(c.claimed),
			now); other != c.other {
			t.Errorf("%s: %t", name, other)
		}
	}
}

// A claimed file that left outbox/ before it was moved was withdrawn. The tray goes on, however old
// its folders are.
func TestWhatIsGoneAtAStartHoldsNothingUp(t *testing.T) {
	s := newSealer(t)
	list := s.claimed("a", "b")
	for _, name := range []string{"a", "b"} {
		if err := os.Remove(filepath.Join(s.tray.Outbox(), name)); err != nil {
			t.Fatal(err)
		}
	}
	s.recover()
	for _, m := range list {
		if state := s.state(m); state != ledger.Withdrawn {
			t.Errorf("%s is %s", m.Name, state)
		}
	}
}

// The last claim counts, also where an earlier message is claimed again.
func TestTheLastClaimIsTheLatest(t *testing.T) {
	s := newSealer(t)
	a, b := s.taken("a")[0], s.taken("b")[0]
	later := b.Claimed.Add(time.Hour)
	s.update(func(tx *ledger.Tx) error {
		_, err := tx.Advance(a.UID, ledger.Taken, ledger.Claimed, reason.Text("changed"))
		return err
	})
	c := []ledger.Outgoing{
		{Tray: "outbox", Kind: "DAT", Name: "c", Address: "fl-lab.dat", Claimed: later, Due: later}}
	s.update(func(tx *ledger.Tx) error {
		return tx.Claim(c, ledger.Claiming{Site: "FL-LAB", First: 1, Identify: s.identify})
	})
	s.update(func(tx *ledger.Tx) error { return tx.Take([]int64{c[0].Seq}) })
	if n, last, err := s.tray.underWay(t.Context(), opened(t, s.tray)); err != nil || n != 3 ||
		!last.Equal(c[0].Claimed) {
		t.Errorf("%d, the last of %s, want %s: %v", n, last, c[0].Claimed, err)
	}
}

// While the tray is away, nothing is looked at again and again.
func TestNothingIsDueWhileTheTrayIsAway(t *testing.T) {
	s := newSealer(t)
	f := newFinder(s.tray)
	f.schedule("data.csv", 0)
	if err := os.Rename(s.tray.Dir, s.tray.Dir+" away"); err != nil {
		t.Fatal(err)
	}
	defer os.Rename(s.tray.Dir+" away", s.tray.Dir) //nolint:errcheck // closed later
	if err := f.look(t.Context()); err != nil || !f.missed {
		t.Errorf("missed %t, %v", f.missed, err)
	}
	if due := f.nextDue(); due < time.Minute {
		t.Errorf("looked at again after %s", due)
	}
}

// A claim whose file was changed before it was moved has ended, and reports it. The file that lies
// there is claimed anew.
func TestAClaimOfAChangedFile(t *testing.T) {
	s := newSealer(t)
	list := s.claimed("changed", "removed")
	if err := errors.Join(os.WriteFile(s.at(droppedAt(list[0])), []byte("more content"), 0o644),
		os.Remove(s.at(droppedAt(list[1])))); err != nil {
		t.Fatal(err)
	}
	s.recover()
	for i, want := range []reason.Code{"changed-before-taken", "removed-before-sent"} {
		m, err := s.Message(t.Context(), string(list[i].ID))
		if err != nil || m.State != ledger.Withdrawn || m.Reason.Code != want {
			t.Errorf("%s is %s: %q, %v", list[i].Name, m.State, m.Reason, err)
		}
	}
}

// A message that was withdrawn has nothing to send again.
func TestAResendOfAWithdrawnMessage(t *testing.T) {
	s := newSealer(t)
	m := s.claimed("a")[0]
	remove(t, s.at("outbox/a"))
	s.claimAll(newFinder(s.tray))
	_, err := s.Resend(t.Context(), Resending{Message: string(m.ID), To: "CA-RC"})
	if got := reason.Of(err).Code; got != "resend-of-withdrawn" {
		t.Errorf("it says %s", got)
	}
}
