package outbox

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"sealpost/agent/ledger"
	"sealpost/internal/reason"
)

// opened opens the tray for the rest of the test.
func opened(t testing.TB, tray *box) *handles {
	t.Helper()
	h, err := tray.open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

// at is the path of something in the tray.
func (s *sealer) at(rel string) string { return filepath.Join(s.tray.Dir, rel) }

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func isBare(path string) bool {
	entries, err := os.ReadDir(path)
	return err == nil && len(entries) == 0
}

// leftAlone returns the notes for users on the folders in sending/ that are left alone.
func (s *sealer) leftAlone() map[string]reason.Reason {
	s.t.Helper()
	notes := map[string]reason.Reason{}
	s.tray.leftAlone(opened(s.t, s.tray), notes)
	return notes
}

func remove(t testing.TB, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// A file in the place of an empty message folder is not removed as if it were that folder.
func TestAFileForAnEmptyFolder(t *testing.T) {
	s := newSealer(t)
	m := s.taken("data.csv")[0]
	rename(t, s.at(sourceAt(m)), s.at("away"))
	remove(t, s.at(folderAt(m)))
	put(t, s.at("sending"), filepath.Base(folderAt(m)))
	opened(t, s.tray).emptied(t.Context(), m)
	if !exists(s.at(folderAt(m))) {
		t.Error("the file is removed")
	}
	remove(t, s.at(folderAt(m)))
	mkdir(t, s.at(folderAt(m)))
	opened(t, s.tray).emptied(t.Context(), m)
	if exists(s.at(folderAt(m))) {
		t.Error("an empty folder stays")
	}
}

func put(t testing.TB, dir, name string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	mkdir(t, filepath.Dir(path))
	if err := os.WriteFile(path, []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTheExplanationNeverReplacesAFile(t *testing.T) {
	s := newSealer(t)
	h := opened(t, s.tray)
	for name, want := range map[string]string{"data.csv": "WHY.txt",
		"WHY.txt": "WHY (sealpost).txt", "why.TXT": "WHY (sealpost).txt"} {
		m := outgoing(name, 1)
		if got := h.whyAt(m, "failed"); got != "failed/"+want {
			t.Errorf("beside %q: %q", name, got)
		}
	}
}

// Files of users in the folder of a message that fails stay, whatever their names. The explanation
// lies beside them while one of its names is free.
func TestTheExplanationReplacesOnlyItself(t *testing.T) {
	for name, c := range map[string]struct {
		own  []string
		want string // that is the explanation; "": none
	}{
		"one":  {[]string{"WHY.txt"}, "WHY (sealpost).txt"},
		"both": {[]string{"WHY.txt", "WHY (sealpost).txt"}, ""},
		"none": {nil, "WHY.txt"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSealer(t)
			m := s.taken("data.csv")[0]
			for _, name := range c.own {
				put(t, s.at(folderAt(m)), name)
			}
			if _, err := s.Recall(t.Context(), string(m.ID)); err != nil {
				t.Fatal(err)
			}
			s.file()
			m.State, m.Reason = ledger.Failed, reason.New("recalled")
			// once more, as after a crash
			if err := opened(t, s.tray).explain(t.Context(), m, placeAt(m)); err != nil {
				t.Fatal(err)
			}
			for _, name := range whyNames {
				text, err := os.ReadFile(s.at(placeAt(m) + "/" + name))
				switch is := isWhy(string(text), m); {
				case slices.Contains(c.own, name) && string(text) != "content":
					t.Errorf("the user's %s: %q, %v", name, text, err)
				case is != (name == c.want):
					t.Errorf("%s is the explanation: %t", name, is)
				}
			}
		})
	}
}
