package outbox

import (
	"os"
	"slices"
	"testing"
	"time"

	"sealpost/agent/ledger"
	"sealpost/internal/reason"
	"sealpost/internal/testkit"
)

// onlyMarked has the tray take marked entries only.
func (s *sealer) onlyMarked() {
	s.tray.OnlyMarked, s.tray.Markers = true, []string{"*.done", "*.ready"}
	s.tray.files.OnlyMarked, s.tray.files.Markers = true, s.tray.markers()
}

// mark makes an empty file in outbox.
func (s *sealer) mark(name string) {
	s.t.Helper()
	testkit.Must(s.t, os.WriteFile(s.at("outbox/"+name), nil, 0o644))
}

// inOutbox lists outbox.
func (s *sealer) inOutbox() (names []string) {
	s.t.Helper()
	list, err := os.ReadDir(s.at("outbox"))
	testkit.Must(s.t, err)
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

// The settle times do not matter, and the markers go with the marked files.
func TestOnlyMarkedEntriesAreTaken(t *testing.T) {
	s := newSealer(t)
	s.onlyMarked()
	s.tray.Settle, s.tray.FolderSettle = time.Hour, time.Hour
	put(t, s.at("outbox"), "a.csv")
	put(t, s.at("outbox"), "b.csv")
	put(t, s.at("outbox/set"), "data.csv")
	put(t, s.at("outbox"), "half.done")
	s.mark("b.csv.ready")
	f := newFinder(s.tray)
	s.claimAll(f)
	if want := []string{"a.csv", "half.done", "set"}; !slices.Equal(s.inOutbox(), want) ||
		s.count() != 1 || s.last().Name != "b.csv" {
		t.Fatalf("outbox has %q, %d are taken, the last is %s", s.inOutbox(), s.count(),
			s.last().Name)
	}
	f.countSettling()
	st, err := s.Status(t.Context(), 1)
	testkit.Must(t, err)
	if u := st.Unmarked; u.Count != 2 || u.Marker != u.Name+".done" || st.Settling != 0 {
		t.Errorf("%+v are unmarked", u)
	}
	if why := st.NotTaken; len(why) != 1 || why["half.done"] != reason.New("marker-not-empty") {
		t.Errorf("users are told %q", why)
	}

	s.mark("a.csv.done")
	s.mark("a.csv.ready")
	s.mark("set.done")
	s.mark("half.done.done")
	s.claimAll(f)
	if s.count() != 4 || len(s.inOutbox()) > 0 {
		t.Errorf("%d are taken, and outbox has %q", s.count(), s.inOutbox())
	}
	f.countSettling()
	if st, err = s.Status(t.Context(), 1); err != nil || st.Unmarked != (Unmarked{}) {
		t.Errorf("%+v are unmarked, %v", st.Unmarked, err)
	}
}

// A notification of the marker is enough, and one that is early waits for its file.
func TestAMarkerHasItsFileLookedAt(t *testing.T) {
	s := newSealer(t)
	s.onlyMarked()
	f, h := newFinder(s.tray), opened(t, s.tray)
	s.mark("a.csv.done")
	if ready, why := f.examine(h, "a.csv.done"); ready != nil || why != reason.New("marker-alone") {
		t.Errorf("a marker alone: %v, %q", ready, why)
	}
	if os.Symlink("a.csv", s.at("outbox/l.csv")) == nil { // an account of Windows may not
		s.mark("l.csv.done")
		if _, why := f.examine(h, "l.csv.done"); why != reason.New("marker-of-unsent") {
			t.Errorf("the marker of a link: %q", why)
		}
	}
	put(t, s.at("outbox"), "a.csv")
	if ready, why := f.examine(h, "a.csv.done"); ready != nil || !why.IsZero() ||
		f.pending["a.csv"] == nil {
		t.Errorf("the file is not looked at: %v, %q", ready, why)
	}
	if ready, why := f.examine(h, "a.csv"); ready == nil || ready.name != "a.csv" {
		t.Errorf("it is not taken: %q", why)
	}
}

// An entry without a marker is named when it is old.
func TestAnOldFileWithoutAMarkerIsNamed(t *testing.T) {
	s := newSealer(t)
	s.onlyMarked()
	put(t, s.at("outbox"), "a.csv")
	f, h := newFinder(s.tray), opened(t, s.tray)
	if ready, why := f.examine(h, "a.csv"); ready != nil || !why.IsZero() {
		t.Errorf("a new one: %v, %q", ready, why)
	}
	if waits, why := f.waitsForMarker(h, "a.csv", time.Now().Add(markerLate)); !waits ||
		why != reason.New("waits-for-marker", "marker", "a.csv.done") {
		t.Errorf("an old one: %v, %q", waits, why)
	}
	if why := s.LeavesAlone("outbox", "a.csv.done"); why != reason.New("marker-name") {
		t.Errorf("send is told %q", why)
	}
	if why := s.LeavesAlone("outbox", "a.csv"); !why.IsZero() {
		t.Errorf("send is told %q", why)
	}
}

// A claim that was cut short after its marker was removed goes on. The marker of a later file of
// its name stays.
func TestAClaimWithoutItsMarkerGoesOn(t *testing.T) {
	s := newSealer(t)
	s.onlyMarked()
	s.mark("a.csv.done")
	m := s.claimed("a.csv")[0]
	testkit.Must(t, os.Remove(s.at("outbox/a.csv.done")))
	s.claimAll(newFinder(s.tray))
	if got := s.state(m); got != ledger.Taken || !exists(s.at(sourceAt(m))) {
		t.Fatalf("it is %s", got)
	}

	put(t, s.at("outbox"), "a.csv")
	s.mark("a.csv.done")
	testkit.Must(t, opened(t, s.tray).move(m)) // repeated after a crash
	if !slices.Equal(s.inOutbox(), []string{"a.csv", "a.csv.done"}) {
		t.Errorf("outbox has %q", s.inOutbox())
	}
}
