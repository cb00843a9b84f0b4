package durable

import (
	"errors"

	"golang.org/x/sys/unix"
)

func renameAt(old, new Entry) error {
	return unix.Renameat2(old.Dir, old.Name, new.Dir, new.Name, unix.RENAME_NOREPLACE)
}

func isUnsupported(err error) bool {
	return errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS)
}
