package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// A name that may be added and not taken away leaves one file with one name, and is no success.
func TestARenameByLinkIsUndoneWhereTheOldNameStays(t *testing.T) {
	dir := t.TempDir()
	locked := filepath.Join(dir, "locked")
	mkdir(t, locked)
	old, new := filepath.Join(locked, "old"), filepath.Join(dir, "new")
	write(t, old, "mine")
	check(t, os.Chmod(locked, 0o555))
	t.Cleanup(func() { os.Chmod(locked, 0o755) }) //nolint:errcheck // the folder is a temporary one
	err := asNobody(t, []string{filepath.Dir(dir), dir, locked, old}, func() error {
		return renameByLink(byPath(old), byPath(new))
	})
	if !errors.Is(err, fs.ErrPermission) {
		t.Errorf("answered %v", err)
	}
	expectContent(t, old, "mine")
	expectGone(t, new)
}

// asNobody does something without root's rights to files, also where the test is root; these are
// the user's then.
func asNobody(t *testing.T, owned []string, do func() error) error {
	t.Helper()
	if os.Geteuid() != 0 {
		return do()
	}
	const noLink = 65534
	for _, name := range owned {
		check(t, os.Chown(name, noLink, noLink))
	}
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // the thread ends with the goroutine
		if err := unix.Setfsuid(noLink); err != nil {
			result <- err
			return
		}
		result <- do()
	}()
	return <-result
}
