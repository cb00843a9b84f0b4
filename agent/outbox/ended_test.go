package outbox

import (
	"os"
	"path/filepath"
	"testing"

	"sealpost/agent/ledger"
	"sealpost/internal/reason"
)

func rename(t testing.TB, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// The place of a removed file proves its delivery only where the ledger was lost or is an older
// copy. Other accounts can put any file there.
func TestAPlantedFile(t *testing.T) {
	for name, c := range map[string]struct {
		reason reason.Code
		older  bool
		moved  bool // rather than another file under its name
		want   ledger.State
	}{
		"another file":    {want: ledger.Withdrawn},
		"the file itself": {moved: true, want: ledger.Withdrawn},
		"with a reason to wait": {reason: "larger-than-hub", moved: true,
			want: ledger.Withdrawn},
		"after the ledger was lost": {reason: reason.LedgerLost, moved: true,
			want: ledger.Delivered},
		"in an older copy": {older: true, moved: true, want: ledger.Delivered},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSealer(t)
			m := s.taken("carol.csv")[0]
			m.Reason = reason.Reason{Code: c.reason}
			if c.older {
				s.older = m.Seq
			}
			m.State = ledger.Delivered
			place := filepath.Join(s.at(placeAt(m)), m.Name)
			m.State = ledger.Taken
			mkdir(t, filepath.Dir(place))
			rename(t, s.at(sourceAt(m)), place)
			if !c.moved {
				remove(t, place)
				put(t, filepath.Dir(place), m.Name)
			}
			_, cause := opened(t, s.tray).observe(sourceAt(m))
			if err := s.setAside(t.Context(), m, cause); err != nil {
				t.Fatal(err)
			}
			if state := s.state(m); state != c.want {
				t.Errorf("it is %s, not %s", state, c.want)
			}
		})
	}
}

// Rows of an older copy of the ledger are known as such, also at the next start.
func TestRowsOfAnOlderCopyAreKnown(t *testing.T) {
	s := newSealer(t)
	m := s.taken("data.csv")[0]
	if err := s.findOlder(t.Context()); err != nil || s.older != 0 {
		t.Fatalf("up to %d: %v", s.older, err)
	}
	s.update(func(tx *ledger.Tx) error { return tx.Set(olderKey, "1") })
	if err := s.findOlder(t.Context()); err != nil || s.older != 1 || m.Seq != 1 {
		t.Fatalf("up to %d: %v", s.older, err)
	}
}

// A folder that is not empty in the place of sending is not taken for it. Its messages wait until
// sending is brought back.
func TestAnotherFolderForSending(t *testing.T) {
	s := newSealer(t)
	m := s.taken("carol.csv")[0]
	home := func() bool {
		t.Helper()
		is, err := s.tray.atHome(t.Context(), opened(t, s.tray))
		if err != nil {
			t.Fatal(err)
		}
		return is
	}
	if !home() {
		t.Fatal("sending is not the tray's at first")
	}
	rename(t, s.at("sending"), s.at("away"))
	put(t, s.at("sending"), "hers")
	mkdir(t, s.at(folderAt(m)))
	_, cause := opened(t, s.tray).observe(sourceAt(m))
	if err := s.setAside(t.Context(), m, cause); err != nil {
		t.Fatal(err)
	}
	if state := s.state(m); home() || state == ledger.Withdrawn {
		t.Errorf("it is %s, and its file lies in sending again as soon as that is brought back",
			state)
	}
	rename(t, s.at("sending"), s.at("hers"))
	if err := os.CopyFS(s.at("sending"), os.DirFS(s.at("away"))); err != nil {
		t.Fatal(err)
	}
	if !home() {
		t.Error("a folder that holds the file is not taken for sending")
	}
}
