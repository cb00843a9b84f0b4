package tray

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A folder waits for the unfinished files of a program in it, and for open ones. Backups go with
// it.
func TestWhatAFolderWaitsFor(t *testing.T) {
	for name, want := range map[string]string{
		"data.csv": "", "notes.txt~": "", "#notes.txt#": "", "._data.csv": "", ".DS_Store": "",
		"data.csv.part": "temporary file", ".data.csv.Xy12Zq": "temporary file",
		".rsync-partial/data.csv": "temporary file", ".~tmp~/data.csv": "temporary file",
		"~$report.docx": "lock file of a program (Microsoft Office)", ".~lock.a.odt#": "lock file",
	} {
		root := t.TempDir()
		put(t, root, "real.csv")
		put(t, root, filepath.FromSlash(name))
		_, _, err := finishedAt(t, root, Settling{}, inTime())
		var wait *Later
		why := ""
		if l, ok := err.(*Later); ok {
			wait, why = l, l.Why.String()
		} else if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if (wait == nil) != (want == "") || !strings.Contains(why, want) {
			t.Errorf("%s: %q, want %q", name, why, want)
		}
	}
	root := t.TempDir()
	put(t, root, "~$report.docx")
	if _, _, err := finishedAt(t, root, Settling{},
		time.Now().Add(lockForgotten+time.Minute)); err != nil {
		t.Errorf("a lock file that is forgotten: %v", err)
	}
}
