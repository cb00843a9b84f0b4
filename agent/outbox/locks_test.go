package outbox

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sealpost/agent/tray"
)

// A document waits while its editor's lock file lies beside it, in any order of the two. It goes
// when the lock file has gone.
func TestADocumentWaitsForItsEditor(t *testing.T) {
	s := newSealer(t)
	f := newFinder(s.tray)
	const many = readGroup + 50 // more than are read at once
	for i := range many {
		put(t, s.tray.Outbox(), fmt.Sprintf("report %d.docx", i))
		put(t, s.tray.Outbox(), fmt.Sprintf("~$port %d.docx", i))
	}
	put(t, s.tray.Outbox(), "@CA-RC/notes.txt")
	if err := os.Symlink("user@host.1234:5678",
		filepath.Join(s.tray.Outbox(), "@CA-RC", ".#notes.txt")); err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	notes := s.swept(f)
	s.expectNothingClaimed(f)
	for _, name := range []string{"report 0.docx", "@CA-RC/notes.txt"} {
		if why, ok := notes[name]; ok && !strings.Contains(why.String(),
			"open in another program") || !ok && len(notes) < maxNotes {
			t.Errorf("%s: %q", name, why)
		}
		if _, why := f.examine(opened(t, s.tray),
			name); !strings.Contains(why.String(), "open in another program") {
			t.Errorf("%s: %q", name, why)
		}
		if p := f.pending[name]; p == nil || time.Until(p.due) > tray.LockAgain {
			t.Errorf("%s is not looked at again soon", name)
		}
	}
	for _, name := range []string{"~$port 0.docx", "@CA-RC/.#notes.txt"} {
		if err := os.Remove(filepath.Join(s.tray.Outbox(), filepath.FromSlash(name))); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"report 0.docx", "@CA-RC/notes.txt"} {
		if ready, why := f.examine(opened(t, s.tray), name); ready == nil {
			t.Errorf("%s waits, though its lock file has gone: %s", name, why)
		}
	}
}
