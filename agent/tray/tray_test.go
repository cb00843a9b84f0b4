package tray

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newTray makes a tray with its folders.
func newTray(t testing.TB) *Tray {
	t.Helper()
	dir := t.TempDir()
	for _, part := range Parts {
		mkdir(t, filepath.Join(dir, part))
	}
	return &Tray{Dir: dir, Log: slog.New(slog.DiscardHandler)}
}

// opened opens a tray for the rest of the test.
func opened(t testing.TB, tray *Tray) *Handles {
	t.Helper()
	h, err := tray.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

// lookAt opens the folder of a path as if it were a tray, and returns the name in it.
func lookAt(t testing.TB, path string) (h *Handles, name string) {
	t.Helper()
	return opened(t, &Tray{Dir: filepath.Dir(path)}), filepath.Base(path)
}

// finishedAt asks whether the entry at a path is finished.
func finishedAt(t testing.TB, path string, settle Settling, now time.Time) (Source, bool, error) {
	t.Helper()
	h, name := lookAt(t, path)
	return h.Finished(name, settle, now)
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

func mkdir(t testing.TB, path string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o777); err != nil {
		t.Fatal(err)
	}
}
