package outbox

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"sealpost/agent/ledger"
)

// opened opens the tray for the rest of the test.
func opened(t testing.TB, tray *tray) *handles {
	t.Helper()
	h, err := tray.open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.close)
	return h
}

// lookAt opens the folder of a path as if it were a tray, and returns the name in it.
func lookAt(t testing.TB, path string) (h *handles, name string) {
	t.Helper()
	return opened(t, &tray{Tray: Tray{Folders: Folders{filepath.Dir(path)}}, o: &Outbox{}}), filepath.Base(path)
}

// finishedAt asks whether what lies at a path is finished.
func finishedAt(t testing.TB, path string, settle settling, now time.Time) (ledger.Source, bool, error) {
	t.Helper()
	h, name := lookAt(t, path)
	return h.finished(name, settle, now)
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
