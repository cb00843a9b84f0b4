package outbox

import (
	"testing"

	"golang.org/x/sys/unix"

	"sealpost/agent/ledger"
)

// A rename by link has left a file with both names, and the old one stays for a while. The file is
// not taken for moved: in outbox/ it would be claimed once more.
func TestAFileWithBothNames(t *testing.T) {
	s := newSealer(t)
	m := s.claimed("a")[0]
	if err := opened(t, s.tray).makeFolder(m); err != nil {
		t.Fatal(err)
	}
	dropped := s.at(droppedAt(m))
	if err := unix.Link(dropped, s.at(sourceAt(m))); err != nil {
		t.Fatal(err)
	}
	// a mount point cannot be removed
	if err := unix.Mount(dropped, dropped, "", unix.MS_BIND, ""); err != nil {
		t.Skipf("SKIPPED: mounting needs root: %v", err)
	}
	//nolint:errcheck // unmounted below
	t.Cleanup(func() { unix.Unmount(dropped, unix.MNT_DETACH) })
	if v, err := s.tray.moveAll(t.Context(), []ledger.Outgoing{m}); err != nil || len(v.moved) > 0 {
		t.Error("it is taken for moved")
	}
	if s.tray.whyNotClaimed(m.Name).IsZero() {
		t.Error("it is not said that it cannot be moved, and the finder claims it again")
	}
	if err := unix.Unmount(dropped, 0); err != nil {
		t.Fatal(err)
	}
	s.recover()
	s.expectTree("sending/" + group([]ledger.Outgoing{m}) + "/a")
	if why := s.tray.whyNotClaimed(m.Name); !why.IsZero() {
		t.Errorf("it is still said: %s", why)
	}
	if state := s.state(m); state != ledger.Taken {
		t.Errorf("it is %s", state)
	}
}
