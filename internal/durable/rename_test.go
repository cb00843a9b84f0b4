package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// renames are the ways in which a name can be given; every one keeps the same promise.
var renames = map[string]func(old, new string) error{
	"as the system does it": RenameNoReplace,
	"where it cannot":       fallback,
}

func TestRenameNoReplace(t *testing.T) {
	for name, rename := range renames {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			old, taken := filepath.Join(dir, "old"), filepath.Join(dir, "taken")
			write(t, old, "mine")
			write(t, taken, "theirs")
			if err := rename(old, taken); !errors.Is(err, fs.ErrExist) {
				t.Errorf("name taken: %v", err)
			}
			expectContent(t, old, "mine")
			expectContent(t, taken, "theirs")
			if err := rename(old, filepath.Join(dir, "new")); err != nil {
				t.Error(err)
			}
			expectContent(t, filepath.Join(dir, "new"), "mine")
			expectGone(t, old)
			if err := rename(old, filepath.Join(dir, "newer")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("nothing to rename: %v", err)
			}
		})
	}
}

func TestRenameNoReplaceOfFolders(t *testing.T) {
	for name, rename := range renames {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			old := filepath.Join(dir, "old")
			mkdir(t, old)
			write(t, filepath.Join(old, "file"), "mine")
			mkdir(t, filepath.Join(dir, "empty"))
			write(t, filepath.Join(dir, "file"), "theirs")
			for _, taken := range []string{"empty", "file"} {
				if err := rename(old, filepath.Join(dir, taken)); !errors.Is(err, fs.ErrExist) {
					t.Errorf("%s taken: %v", taken, err)
				}
			}
			if err := rename(old, filepath.Join(dir, "new")); err != nil {
				t.Error(err)
			}
			expectContent(t, filepath.Join(dir, "new", "file"), "mine")
			expectGone(t, old)
		})
	}
}

func TestRenameNoReplaceSaysWhichNames(t *testing.T) {
	dir := t.TempDir()
	old, taken := filepath.Join(dir, "old"), filepath.Join(dir, "taken")
	write(t, old, "mine")
	write(t, taken, "theirs")
	err := RenameNoReplace(old, taken)
	if err == nil || !strings.Contains(err.Error(), old) || !strings.Contains(err.Error(), taken) {
		t.Errorf("got %v", err)
	}
}

// Of many renames to one name exactly one succeeds, and no content is lost.
func TestRenameNoReplaceHasOneWinner(t *testing.T) {
	const rounds, rivals = 20, 8
	for name, rename := range renames {
		t.Run(name, func(t *testing.T) {
			for round := range rounds {
				dir := t.TempDir()
				target := filepath.Join(dir, "target")
				var won atomic.Int32
				var all sync.WaitGroup
				for i := range rivals {
					oldStat := filepath.Join(dir, fmt.Sprint(i))
					write(t, oldStat, oldStat)
					all.Go(func() {
						err := rename(oldStat, target)
						if err == nil {
							won.Add(1)
						} else if !errors.Is(err, fs.ErrExist) {
							t.Error(err)
						}
					})
				}
				all.Wait()
				if won.Load() != 1 {
					t.Fatalf("round %d: %d winners", round, won.Load())
				}
				entries, err := os.ReadDir(dir)
				if err != nil || len(entries) != rivals {
					t.Fatalf("round %d: %d entries, %v", round, len(entries), err)
				}
			}
		})
	}
}

func expectGone(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is still there: %v", path, err)
	}
}
