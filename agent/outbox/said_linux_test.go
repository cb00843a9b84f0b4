package outbox

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sealpost/internal/testkit"
)

// Files that cannot be moved have one line for each cause, with their number. There are no more
// lines while nothing changes, and one more when it does.
func TestTheLogHasChangesOnly(t *testing.T) {
	s := newSealer(t)
	s.tray.Settle = 0
	var log bytes.Buffer
	final := s.taken("f1", "f2", "f3")
	s.deliver(final...)
	for _, part := range []string{"sending", "delivered"} {
		at := s.at(part)
		if err := unix.Mount(at, at, "", unix.MS_BIND, ""); err != nil {
			t.Skipf("SKIPPED: mounting needs root: %v", err)
		}
		//nolint:errcheck // a second one has nothing to do
		t.Cleanup(func() { unix.Unmount(at, unix.MNT_DETACH) })
	}
	testkit.Must(t, unix.Mount("", s.at("sending"), "",
		unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	s.tray.log = slog.New(slog.NewTextHandler(&log, nil))
	const files = 500
	for i := range files {
		put(t, s.at("outbox"), fmt.Sprint(i))
	}
	f := newFinder(s.tray)
	pass := func() (lines int) {
		log.Reset()
		s.claimAll(f)
		if _, err := s.tray.file(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		return strings.Count(log.String(), "\n")
	}
	// the claims of a sweep are several groups
	if n := pass(); n < 2 || n > 12 || !strings.Contains(log.String(), "read-only") ||
		!strings.Contains(log.String(), "final, but cannot be moved yet") {
		t.Errorf("%d lines at first:\n%s", n, &log)
	}
	pass() // the notes of the last sweep
	for range 5 {
		if n := pass(); n > 0 {
			t.Errorf("%d lines without a change:\n%s", n, &log)
		}
	}
	for _, part := range []string{"sending", "delivered"} {
		testkit.Must(t, unix.Unmount(s.at(part), 0))
	}
	pass()
	if n := s.count(); n != files+len(final) || len(s.tray.unmoved) > 0 {
		t.Errorf("%d messages, and %d cannot be moved", n, len(s.tray.unmoved))
	}
}
