package outbox

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
)

// A document waits while its editor's lock file lies beside it, whichever is met first, and goes when the lock file has gone.
func TestADocumentWaitsForItsEditor(t *testing.T) {
	s := newSealer(t)
	f := newFinder(s.tray)
	const many = readGroup + 50 // more than are read at once
	for i := range many {
		put(t, s.tray.Outbox(), fmt.Sprintf("report %d.docx", i))
		put(t, s.tray.Outbox(), fmt.Sprintf("~$port %d.docx", i))
	}
	put(t, s.tray.Outbox(), "@CA-RC/notes.txt")
	if err := os.Symlink("user@host.1234:5678", filepath.Join(s.tray.Outbox(), "@CA-RC", ".#notes.txt")); err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	notes := s.swept(f)
	s.expectNothingClaimed(f)
	for _, name := range []string{"report 0.docx", "@CA-RC/notes.txt"} {
		if why, ok := notes[name]; ok && !strings.Contains(why, "open in another program") || !ok && len(notes) < maxNotes {
			t.Errorf("%s: %q", name, why)
		}
		if _, why := f.examine(opened(t, s.tray), name); !strings.Contains(why, "open in another program") {
			t.Errorf("%s: %q", name, why)
		}
		if p := f.pending[name]; p == nil || time.Until(p.due) > lockAgain {
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

// A program that has crashed leaves its lock file for ever.
func TestALockFileIsForgotten(t *testing.T) {
	s := newSealer(t)
	put(t, s.tray.Outbox(), "report.docx")
	put(t, s.tray.Outbox(), "~$report.docx")
	s.tray.locks.note("", "~$report.docx")
	now := time.Now()
	if opened(t, s.tray).openElsewhere("report.docx", now.Add(lockForgotten-time.Minute)) == "" {
		t.Error("the lock file counts no more")
	}
	if why := opened(t, s.tray).openElsewhere("report.docx", now.Add(lockForgotten+time.Minute)); why != "" {
		t.Errorf("the lock file counts for ever: %s", why)
	}
}

// Notifications tell of lock files between sweeps. The names of a folder are read ahead when some may have been missed.
func TestWhenLockFilesAreReadAhead(t *testing.T) {
	s := newSealer(t)
	l := &s.tray.locks
	sweep := func(told bool) bool {
		losses := l.begin()
		ahead := l.ahead
		l.end(losses, told)
		return ahead
	}
	if !sweep(true) || sweep(true) {
		t.Error("only the first sweep reads ahead")
	}
	s.tray.hear("~$report.docx", fsnotify.Create)
	if len(l.candidates("report.docx")) == 0 {
		t.Error("a notification is not heard")
	}
	if s.tray.lost(); !sweep(true) || sweep(true) {
		t.Error("the first sweep after a loss reads ahead")
	}
	losses := l.begin()
	s.tray.lost() // while it is looked through
	l.end(losses, true)
	if !sweep(false) || !sweep(true) || sweep(true) {
		t.Error("without notifications each sweep reads ahead")
	}
}

func TestLockFilesAreRememberedUpToABound(t *testing.T) {
	var l locks
	for i := range 3 * maxLocks {
		l.note("", fmt.Sprintf(".notes %d.txt.swp", i))
	}
	if len(l.of) > maxLocks {
		t.Errorf("%d are remembered", len(l.of))
	}
}
