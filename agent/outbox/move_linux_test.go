package outbox

import (
	"testing"

	"golang.org/x/sys/unix"

	"sealpost/agent/ledger"
)

// A file that a rename by link has left with both names, and whose old name cannot be taken away
// for a while, is not taken for moved: in outbox/ it would be claimed once more.
func TestAFileWithBothNamesIsNotTakenForMoved(t *testing.T) {
	s := newSealer(t)
	m := s.claimed("a")[0]
	if err := opened(t, s.tray).makeFolder(m); err != nil {
		t.Fatal(err)
	}
	dropped := s.at(droppedAt(m))
	if err := unix.Link(dropped, s.at(sourceAt(m))); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(dropped, dropped, "", unix.MS_BIND, ""); err != nil { // what is mounted on cannot be removed
		t.Skipf("SKIPPED: mounting needs root: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dropped, unix.MNT_DETACH) }) //nolint:errcheck // it is unmounted below
	if moved := s.tray.moveAll(t.Context(), []ledger.Outgoing{m}); len(moved) != 0 {
		t.Error("it is taken for moved")
	}
	if s.tray.stuck(m.Name).IsZero() {
		t.Error("it is not said that it cannot be moved, and the finder claims it again")
	}
	if err := unix.Unmount(dropped, 0); err != nil {
		t.Fatal(err)
	}
	s.recover()
	s.expectTree("sending/" + group([]ledger.Outgoing{m}) + "/a")
	if why := s.tray.stuck(m.Name); !why.IsZero() {
		t.Errorf("it is still said: %s", why)
	}
	if state := s.state(m); state != ledger.Taken {
		t.Errorf("it is %s", state)
	}
}
