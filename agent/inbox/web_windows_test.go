package inbox

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"sealpost/internal/beneath"
)

// Received files have the Mark of the Web, also in folders, and keep their times and content.
func TestReceivedFilesAreMarked(t *testing.T) {
	dir := t.TempDir()
	tried := filepath.Join(dir, "tried")
	write(t, tried, []byte("x"))
	check(t, os.WriteFile(tried+zoneStream, []byte("y"), 0o600))
	if text, err := os.ReadFile(tried); err != nil || string(text) != "x" {
		t.Skip("SKIPPED: this volume has no streams")
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Skip("SKIPPED: this volume has no streams")
	}
	s := newSink(held(t, dir), form{access: Group.accessFor(beneath.Info{})})
	defer s.close()
	check(t, s.Dir(1, "run", time.Unix(1, 0)))
	sent := time.Unix(1_000_000_000, 0)
	for n, path := range []string{"data.csv", "run/data.csv"} {
		w, err := s.File(n, path, false, sent, 0)
		check(t, err)
		_, err = w.Write([]byte(path))
		check(t, err)
		check(t, w.Close())
	}
	check(t, s.finish())
	for at, path := range map[string]string{"0": "data.csv",
		filepath.Join("1", "data.csv"): "run/data.csv"} {
		at := filepath.Join(dir, at)
		holds(t, at, path)
		holds(t, at+zoneStream, zoneText)
		if info, err := os.Stat(at); err != nil || !info.ModTime().Equal(sent) {
			t.Errorf("%s has the time %v, %v", at, info.ModTime(), err)
		}
	}
}
