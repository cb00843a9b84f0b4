package outbox

import (
	"os"
	"testing"

	"sealpost/agent/ledger"
	"sealpost/internal/reason"
)

// TestAFileWithTheNameOfAMarkerIsSent leaves its content to its user when the folder beside it is
// taken.
func TestAFileWithTheNameOfAMarkerIsSent(t *testing.T) {
	s := newSealer(t)
	put(t, s.at("outbox/results"), "data.csv")
	put(t, s.at("outbox"), "results.done")
	s.tray.FolderSettle = 0
	s.claimAll(newFinder(s.tray))
	if n := s.count(); n != 2 {
		t.Errorf("%d messages, want the folder and the file", n)
	}
	if text, err := os.ReadFile(s.at(sourceAt(s.named("results.done")))); err != nil ||
		string(text) != "content" {
		t.Errorf("the file has %q: %v", text, err)
	}
}

// TestAMarkerOfAnotherAccountIsNone neither ends the wait for a folder, nor is removed with it.
func TestAMarkerOfAnotherAccountIsNone(t *testing.T) {
	s := newSealer(t)
	put(t, s.at("outbox/set"), "data.csv")
	marker := s.at("outbox/set.done")
	if err := os.WriteFile(marker, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	h := opened(t, s.tray)
	if !h.HasMarker("outbox/set") {
		t.Error("the owner's is none")
	}
	give(t, marker)
	if h.HasMarker("outbox/set") {
		t.Error("the folder is marked by another account")
	}
	if ready, why := newFinder(s.tray).examine(h, "set.done"); ready != nil ||
		why != reason.New("marker-of-other") {
		t.Errorf("users are told %q", why)
	}
	s.claimAll(newFinder(s.tray))
	if exists(s.at("outbox/set")) || !exists(marker) {
		t.Error("the folder is not taken, or the marker is removed")
	}
}

// named returns the message of this name.
func (s *sealer) named(name string) (m ledger.Outgoing) {
	s.t.Helper()
	s.update(func(tx *ledger.Tx) error {
		list, err := tx.Latest(100)
		for _, other := range list {
			if other.Name == name {
				m = other
			}
		}
		return err
	})
	return m
}
