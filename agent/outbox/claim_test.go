package outbox

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"sealpost/agent/ledger"
	"sealpost/internal/words"
)

// What is being claimed lies in outbox/ for a moment longer, while the finder looks for more: it is not claimed twice. And
// what is dropped under the same name meanwhile is not forgotten.
func TestWhatIsBeingClaimedIsPassedOverAndLookedAtAgain(t *testing.T) {
	s := newSealer(t)
	f := newFinder(s.tray)
	put(t, s.tray.Outbox(), "data.csv")
	ready, why := f.examine("data.csv")
	if ready == nil {
		t.Fatalf("not ready: %s", why)
	}
	group := []found{*ready}
	f.claiming.add(group)
	if again, _ := f.examine("data.csv"); again != nil {
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
	moved := s.tray.moveAll(t.Context(), list)
	f.claiming.remove(group)
	if err := f.take(t.Context(), moved); err != nil || len(moved) != 1 || s.held(list[0].UID) {
		t.Fatalf("moved %d, held %t: %v", len(moved), s.held(list[0].UID), err)
	}
	put(t, s.tray.Outbox(), "data.csv")
	if other, why := f.examine("data.csv"); other == nil {
		t.Fatalf("the second file of that name is not taken: %s", why)
	}
}

// A message that cannot be moved is let go of, so that the sweep goes on with it once it can.
func TestWhatCannotBeMovedIsLetGoOf(t *testing.T) {
	s := newSealer(t)
	f := newFinder(s.tray)
	put(t, s.tray.Outbox(), "data.csv")
	ready, why := f.examine("data.csv")
	if ready == nil {
		t.Fatalf("not ready: %s", why)
	}
	list, err := s.tray.claimRows(t.Context(), []found{*ready})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(s.tray.Outbox(), "data.csv")); err != nil {
		t.Fatal(err)
	}
	if moved := s.tray.moveAll(t.Context(), list); len(moved) != 0 || s.held(list[0].UID) {
		t.Errorf("moved %d, held %t", len(moved), s.held(list[0].UID))
	}
}

// At a start nothing is known of the folder sending but its time. An empty one that is older than what must lie in it is not the
// one into which that was moved: it is there while a disk is not. One that has changed since was emptied by a person.
func TestAnEmptyFolderOfBeforeIsNotTheTrays(t *testing.T) {
	for name, c := range map[string]struct {
		claimed time.Duration // from now
		state   ledger.State
		home    bool
	}{
		"taken later":      {time.Hour, ledger.Taken, false},
		"taken before":     {-time.Hour, ledger.Taken, true},
		"taken just now":   {0, ledger.Taken, true},
		"claimed later":    {time.Hour, ledger.Claimed, false},
		"claimed before":   {-time.Hour, ledger.Claimed, true},
		"delivered later":  {time.Hour, ledger.Delivered, false},
		"delivered before": {-time.Hour, ledger.Delivered, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSealer(t)
			at := time.Now().Add(c.claimed)
			list := []ledger.Outgoing{{Tray: "outbox", Kind: "DAT", Name: "data.csv", Address: "fl-lab.dat", Claimed: at, Due: at}}
			s.update(func(tx *ledger.Tx) error {
				return tx.Claim(list, ledger.Claiming{Site: "FL-LAB", First: 1, Identify: s.identify})
			})
			if c.state != ledger.Claimed {
				s.update(func(tx *ledger.Tx) error { return tx.Take([]int64{list[0].Seq}) })
			}
			if c.state == ledger.Delivered {
				s.deliver(list[0])
			}
			home, err := s.tray.atHome(t.Context())
			if err != nil || home != c.home {
				t.Errorf("at home: %t, %v", home, err)
			}
			notes := map[string]string{}
			if whole, err := s.tray.whole(t.Context(), notes); err != nil || whole != c.home || (notes["sending"] == words.TrayGone(1)) == c.home {
				t.Errorf("whole: %t, %v, %v", whole, notes, err)
			}
		})
	}
}
