package badgerspool

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestFolder: a new name is noticed, also one of the same tick, and nothing is synced for nothing.
func TestFolder(t *testing.T) {
	f := &folder{path: t.TempDir()}
	must(t, f.sync())
	first := f.synced
	if first.IsZero() || f.until.IsZero() {
		t.Fatal("the first look does not sync")
	}
	f.until = time.Now().Add(-time.Second)
	before := f.until
	must(t, f.sync())
	if f.until != before {
		t.Error("it was synced although nothing changed")
	}
	old := time.Now().Add(-time.Hour)
	must(t, os.Chtimes(f.path, old, old)) // as if long ago
	must(t, f.sync())
	must(t, os.WriteFile(filepath.Join(f.path, "00002.mem"), nil, 0o600))
	must(t, f.sync())
	if f.synced.Equal(old) || !f.until.After(time.Now().Add(-folderTick)) {
		t.Error("a new name was not noticed")
	}
	must(t, os.RemoveAll(f.path))
	if err := f.sync(); err == nil {
		t.Error("a folder that is gone is no error")
	}
}
