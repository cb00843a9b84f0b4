package durable

import (
	"errors"

	"golang.org/x/sys/unix"
)

func renameAt(old, new Entry) error {
	return unix.RenameatxNp(old.Dir, old.Name, new.Dir, new.Name, unix.RENAME_EXCL)
}

func isUnsupported(err error) bool { return errors.Is(err, unix.ENOTSUP) }
