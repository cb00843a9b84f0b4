//go:build unix

package durable

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// renameByLink is the way where the system cannot rename without replacing. A file gets its new name by a hard link, which
// never replaces, and loses the old one: a crash between leaves both names of the one file. A folder's new name is claimed
// by an empty folder, which rename may replace: a crash between leaves that empty folder.
func renameByLink(old, new string) error {
	info, err := os.Lstat(old)
	if err != nil {
		return unwrap(err)
	}
	if info.IsDir() {
		return renameOverClaim(old, new)
	}
	if err := os.Link(old, new); err != nil {
		return unwrap(err)
	}
	return unwrap(os.Remove(old))
}

func renameOverClaim(old, new string) error {
	if err := os.Mkdir(new, 0o700); err != nil {
		return unwrap(err)
	}
	err := syscall.Rename(old, new)
	if errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, syscall.ENOTDIR) {
		return fs.ErrExist // somebody filled our claim in the meantime
	}
	if err != nil {
		return errors.Join(err, os.Remove(new))
	}
	return nil
}

// unwrap takes off the layer that repeats the names: RenameNoReplace adds its own.
func unwrap(err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return err
}
