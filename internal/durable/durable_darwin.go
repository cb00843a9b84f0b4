package durable

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Free returns the number of bytes that this process can still write to the file system of dir.
func Free(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return int64(s.Bavail) * int64(s.Bsize), nil
}

// Capacity returns the size of the file system of dir in bytes.
func Capacity(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, fmt.Errorf("size of the file system of %s: %w", dir, err)
	}
	return int64(s.Blocks) * int64(s.Bsize), nil
}

func renameAt(old, new Entry) error {
	return unix.RenameatxNp(old.Dir, old.Name, new.Dir, new.Name, unix.RENAME_EXCL)
}

func isUnsupported(err error) bool { return errors.Is(err, unix.ENOTSUP) }
