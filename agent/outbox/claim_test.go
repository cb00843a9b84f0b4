package outbox

import (
	"os"
	"path/filepath"
	"testing"
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
