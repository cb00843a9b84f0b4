package outbox

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
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

// leftAlone is what users are told of the folders in sending/ that are left alone.
func (s *sealer) leftAlone() map[string]string {
	s.t.Helper()
	notes := map[string]string{}
	s.tray.leftAlone(opened(s.t, s.tray), notes)
	return notes
}

func remove(t testing.TB, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
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
	for name, want := range map[string]string{"data.csv": "WHY.txt", "WHY.txt": "WHY (sealpost).txt", "why.TXT": "WHY (sealpost).txt"} {
		m := outgoing(name, 1)
		if got := whyName(m); got != want || strings.EqualFold(got, name) {
			t.Errorf("beside %q: %q", name, got)
		}
	}
}
