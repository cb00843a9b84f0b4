package durable

import (
	"errors"

	"golang.org/x/sys/unix"
)

func renameNoReplace(old, new string) error {
	err := unix.RenamexNp(old, new, unix.RENAME_EXCL)
	if errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.EEXIST) && cutShort(old, new) {
		return renameByLink(old, new)
	}
	return err
}
