package outbox

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sealpost/agent/ledger"
	"sealpost/agent/tray"
	"sealpost/internal/reason"
)

// swept looks through outbox/ once and returns the notes.
func (s *sealer) swept(f *finder) map[string]reason.Reason {
	s.t.Helper()
	if f.watch == nil {
		f.watch = s.tray.files.NewWatch(time.Minute, s.tray.hearAstray)
	}
	losses := s.tray.files.BeginSweep()
	notes := map[string]reason.Reason{}
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	f.sweepDir(ctx, opened(s.t, s.tray), "", notes)
	s.tray.files.EndSweep(losses, true)
	return notes
}

func (s *sealer) expectNothingClaimed(f *finder) {
	s.t.Helper()
	if f.claims > 0 {
		s.t.Errorf("%d things are claimed", f.claims)
	}
}

// Files that systems leave in every folder are neither sent nor reported. No folder of theirs is
// taken for an address.
func TestLitterIsNeitherSentNorReported(t *testing.T) {
	s := newSealer(t)
	f := newFinder(s.tray)
	for _, name := range []string{"@eaDir/data.csv@SynoEAStream", ".Trash-1000/files/old.csv",
		"$RECYCLE.BIN/x", "System Volume Information/x",
		".Spotlight-V100/x", "@Recycle/x", "@tmp/x", ".stfolder/x", "data.csv:Zone.Identifier",
		"lost+found/x", ".DS_Store", "Thumbs.db", "desktop.ini", "._data.csv",
		".directory"} {
		put(t, s.tray.Outbox(), filepath.FromSlash(name))
	}
	if notes := s.swept(f); len(notes) > 0 {
		t.Errorf("reported: %v", notes)
	}
	s.expectNothingClaimed(f)
	for _, dir := range []string{"@EADIR", "@CA-RC"} {
		if !tray.IsAddress(dir) {
			t.Errorf("%s is no address", dir)
		}
	}
	for _, name := range []string{"@eaDir", "._x", "~$x"} {
		if s.LeavesAlone("outbox", name).IsZero() {
			t.Errorf("%s would be sent, as it seems", name)
		}
	}
}

// A program is at work on an unfinished file. It is worth a word when it has stood still: the
// program may have crashed.
func TestOldUnfinishedFiles(t *testing.T) {
	s := newSealer(t)
	f := newFinder(s.tray)
	for _, name := range []string{"new.part", "old.part", ".data.csv.Xy12Zq", "notes.txt~"} {
		path := put(t, s.tray.Outbox(), name)
		if name != "new.part" {
			old := time.Now().Add(-time.Hour)
			if err := os.Chtimes(path, old, old); err != nil {
				t.Fatal(err)
			}
		}
	}
	notes := s.swept(f)
	temporary := func(program string) reason.Reason {
		return reason.New("temporary-name", "program", program)
	}
	want := map[string]reason.Reason{
		"old.part": temporary("Firefox, KDE"), ".data.csv.Xy12Zq": temporary("rsync"),
		"notes.txt~": reason.New("backup-name", "program", "text editors")}
	if fmt.Sprint(notes) != fmt.Sprint(want) {
		t.Errorf("reported: %v", notes)
	}
	s.expectNothingClaimed(f)
}

// A name with a leading dot is left alone and told, unless the tray has hidden = true. In a folder
// it is sent, except for names of programs.
func TestDotNamesAreLeftAlone(t *testing.T) {
	s := newSealer(t)
	f := newFinder(s.tray)
	put(t, s.tray.Outbox(), ".settings")
	put(t, s.tray.Outbox(), ".git/config")
	put(t, s.tray.Outbox(), "@CA-RC/.settings")
	notes := s.swept(f)
	for _, rel := range []string{".settings", ".git", filepath.Join("@CA-RC", ".settings")} {
		if notes[rel] != reason.New("hidden-name") {
			t.Errorf("of %s users are told %q", rel, notes[rel])
		}
	}
	s.expectNothingClaimed(f)
	if s.LeavesAlone("outbox", ".settings").IsZero() {
		t.Error("it would be sent, as it seems")
	}
	s.tray.Hidden = true
	put(t, s.tray.Outbox(), filepath.FromSlash("run/.settings"))
	put(t, s.tray.Outbox(), filepath.FromSlash("run/.stfolder/x"))
	s.claimAll(f)
	var names []string
	s.update(func(tx *ledger.Tx) error {
		list, err := tx.Latest(10)
		for _, m := range list {
			names = append(names, m.Name)
			if m.Name == "run" && m.Source.Entries != 2 {
				t.Errorf("in the folder are %d entries, with itself", m.Source.Entries)
			}
		}
		return err
	})
	slices.Sort(names)
	if want := []string{".git", ".settings", ".settings", "run"}; !slices.Equal(names, want) {
		t.Errorf("taken are %q, want %q", names, want)
	}
}

// A matter for the user is reported first, however many leftovers there are.
func TestLeftoversNeverPushAProblemOut(t *testing.T) {
	for _, isLast := range []bool{true, false} {
		notes := map[string]reason.Reason{}
		if !isLast {
			addNote(notes, "link", reason.New("is-link"))
		}
		for i := range 2 * maxNotes {
			addNote(notes, fmt.Sprintf(".%d.part", i), reason.Text("left alone"))
		}
		addNote(notes, "link", reason.New("is-link"))
		addNote(notes, "@CA-RC/link", reason.New("is-link"))
		if len(notes) != maxNotes {
			t.Errorf("%d notes", len(notes))
		}
		list := Standing{NotTaken: notes}.Left()[reason.NotTaken]
		sorted := slices.IsSortedFunc(list[2:],
			func(a, b Note) int { return strings.Compare(a.Name, b.Name) })
		if list[0].Name != "@CA-RC/link" || list[1].Name != "link" || len(list) != maxNotes ||
			!sorted {
			t.Errorf("in this order: %q", list)
		}
	}
	full := map[string]reason.Reason{}
	for i := range 2 * maxNotes {
		addNote(full, fmt.Sprintf("link %d", i), reason.New("is-link"))
	}
	other := reason.Text("another reason")
	if addNote(full, "link 0", other); len(full) != maxNotes || full["link 0"] != other {
		t.Errorf("%d notes, %q", len(full), full["link 0"])
	}
}
