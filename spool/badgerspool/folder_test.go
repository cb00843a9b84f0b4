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

// TestEmptyLogs: Badger's logs as a kill leaves them between the two steps in which they are made,
// or removed.
func TestEmptyLogs(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{}, realSeams())
	publishMany(t, s, 300, 30)
	must(t, s.Close())
	for _, name := range []string{"00001.mem", "00002.mem", "00009.mem", "000001.vlog",
		"000009.vlog"} {
		t.Run(name, func(t *testing.T) {
			copied := filepath.Join(t.TempDir(), "spool")
			must(t, os.CopyFS(copied, os.DirFS(dir)))
			must(t, os.WriteFile(filepath.Join(copied, "badger", name), nil, 0o600))
			reopened := mustOpen(t, copied, Options{}, realSeams())
			mustAudit(t, reopened)
			if reopened.Incarnation() != s.Incarnation() {
				t.Error("it is taken for another store")
			}
			publishMany(t, reopened, 300, 5)
			settleMany(t, reopened, "ca_rc_queue", 35, 4)
			must(t, reopened.Close())
			mustAudit(t, mustOpen(t, copied, Options{}, realSeams()))
		})
	}
}
