package durable

import (
	"errors"
	"io/fs"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"sealpost/internal/loopfs"
	"sealpost/internal/oddfs"
)

// The second way is taken exactly where the file system lacks the first, never to get around an
// answer.
func TestFallbackIsTakenOnlyWhereTheFirstWayIsMissing(t *testing.T) {
	for _, c := range []struct {
		answer error
		second bool
	}{
		{nil, false}, {unix.EINVAL, true}, {unix.ENOSYS, true}, {unix.ENOTSUP, true},
		{unix.EEXIST, false},
		{unix.ENOENT, false}, {unix.EXDEV, false}, {unix.EIO, false},
	} {
		taken := false
		err := renameOr(
			func(_, _ Entry) error { return c.answer },
			func(_, _ Entry) error { taken = true; return nil },
			byPath("old"), byPath("new"))
		if taken != c.second || (!taken && !errors.Is(err, c.answer)) {
			t.Errorf("answer %v: second way taken %v, error %v", c.answer, taken, err)
		}
	}
}

// A disk with neither way is told apart from missing rights. A folder needs neither.
func TestADiskWithoutASafeRenameSaysSo(t *testing.T) {
	for name, mount := range map[string]func(t *testing.T) string{
		"odd": func(t *testing.T) string {
			return oddfs.Mount(t, oddfs.Habits{NoLinks: true, NoFlags: true}).Dir
		},
		"exfat": func(t *testing.T) string { return loopfs.Mount(t, loopfs.ExFATFuse) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := mount(t)
			at := func(name string) string { return filepath.Join(dir, name) }
			write(t, at("file"), "content")
			err := RenameNoReplace(at("file"), at("moved"))
			if !errors.Is(err, ErrNoSafeRename) || errors.Is(err, fs.ErrPermission) {
				t.Errorf("a file: %v", err)
			}
			expectContent(t, at("file"), "content")
			mkdir(t, at("folder"))
			check(t, RenameNoReplace(at("folder"), at("moved")))
		})
	}
}
