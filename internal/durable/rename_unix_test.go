//go:build unix

package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func fallback(old, new string) error { return renameByLink(byPath(old), byPath(new)) }

// The next attempt, in either way, ends a rename by link that a crash cut short. It leaves anything
// else alone.
func TestARenameByLinkThatWasCutShort(t *testing.T) {
	for way, rename := range renames {
		t.Run(way, func(t *testing.T) { testCutShort(t, rename) })
	}
}

func testCutShort(t *testing.T, rename func(old, new string) error) {
	for name, c := range map[string]struct {
		left  func(t *testing.T, old, new string)
		taken bool
	}{
		"a file with both names": {func(t *testing.T, old, new string) {
			write(t, old, "mine")
			check(t, os.Link(old, new))
		}, false},
		"equal files": {func(t *testing.T, old, new string) {
			write(t, old, "mine")
			write(t, new, "mine")
		}, true},
		"a file with a name elsewhere": {func(t *testing.T, old, new string) {
			write(t, old, "mine")
			write(t, new, "mine")
			check(t, os.Link(old, old+"2"))
			check(t, os.Link(new, new+"2"))
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			old, new := filepath.Join(dir, "old"), filepath.Join(dir, "new")
			c.left(t, old, new)
			was, err := os.Lstat(old)
			check(t, err)
			err = rename(old, new)
			if c.taken {
				if !errors.Is(err, fs.ErrExist) {
					t.Errorf("answered %v", err)
				}
				if _, err := os.Lstat(old); err != nil {
					t.Error(err)
				}
				return
			}
			check(t, err)
			expectGone(t, old)
			if is, err := os.Lstat(new); err != nil || !os.SameFile(was, is) {
				t.Errorf("new is another: %v", err)
			}
		})
	}
}

// After an error of the removal the old name may be gone. The content keeps a name, and another
// rename ends it.
func TestARenameByLinkWhoseOldNameMayBeGone(t *testing.T) {
	for name, remove := range map[string]func(Entry) error{
		"it is":     func(e Entry) error { return errors.Join(os.Remove(e.Name), syscall.EIO) },
		"it is not": func(Entry) error { return syscall.EIO },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			old, new := filepath.Join(dir, "old"), filepath.Join(dir, "new")
			write(t, old, "mine")
			if err := linkThenRemove(byPath(old), byPath(new), remove); !errors.Is(err,
				syscall.EIO) {
				t.Errorf("answered %v", err)
			}
			expectContent(t, new, "mine")
			if err := RenameNoReplace(old, new); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("again: %v", err)
			}
			expectContent(t, new, "mine")
			expectGone(t, old)
		})
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestARenameByLook(t *testing.T) {
	dir := t.TempDir()
	old, new := filepath.Join(dir, "old"), filepath.Join(dir, "new")
	write(t, old, "mine")
	write(t, new, "taken")
	if err := RenameByLook(byPath(old), byPath(new)); !errors.Is(err, fs.ErrExist) {
		t.Errorf("to a name that is taken: %v", err)
	}
	expectContent(t, new, "taken")
	check(t, os.Remove(new))
	check(t, RenameByLook(byPath(old), byPath(new)))
	expectContent(t, new, "mine")
	if err := RenameByLook(byPath(old), byPath(old+" again")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of a file that is gone: %v", err)
	}
}
