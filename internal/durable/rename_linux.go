package durable

import (
	"errors"

	"golang.org/x/sys/unix"
)

func renameNoReplace(old, new string) error { return renameOr(renameat2, renameByLink, old, new) }

func renameat2(old, new string) error {
	return unix.Renameat2(unix.AT_FDCWD, old, unix.AT_FDCWD, new, unix.RENAME_NOREPLACE)
}

// renameOr takes the second way where the file system (NFS, some FUSE) or an old kernel lacks the first. The kernel answers that a
// name is taken before it asks the file system, so that what the second way left behind is met by the first.
func renameOr(first, second func(old, new string) error, old, new string) error {
	err := first(old, new)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EEXIST) && cutShort(old, new) {
		return second(old, new)
	}
	return err
}
