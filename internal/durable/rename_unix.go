//go:build unix

package durable

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// renameByLink is the way where the system cannot rename without replacing (NFS, some FUSE). A file gets its new name by a hard
// link, which never replaces, and loses the old one: a crash between leaves both names of the one file, and renaming again
// ends it. A folder never takes the place of one in which anything is, and of an empty one only if that was made in the very
// instant between the look and the rename.
func renameByLink(old, new string) error {
	info, err := os.Lstat(old)
	if err != nil {
		return unwrap(err)
	}
	if info.IsDir() {
		return renameFolder(old, new)
	}
	return linkThenRemove(old, new, os.Remove)
}

func linkThenRemove(old, new string, remove func(string) error) error {
	if err := os.Link(old, new); err != nil && !(errors.Is(err, fs.ErrExist) && cutShort(old, new)) {
		return unwrap(err)
	}
	err := remove(old)
	switch {
	case err == nil, errors.Is(err, fs.ErrNotExist): // somebody has taken that name away meanwhile
		return nil
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS): // it stays for good, and both names would be two files to everybody
		return errors.Join(unwrap(err), os.Remove(new))
	}
	return unwrap(err) // it may be gone all the same, so that the new name may be the last one
}

// cutShort tells whether a name is taken because a rename to it was cut short, or its answer was lost.
func cutShort(old, new string) bool {
	mine, err := os.Lstat(old)
	if err != nil {
		return false
	}
	there, err := os.Lstat(new)
	if err != nil || mine.IsDir() || !os.SameFile(mine, there) {
		return false
	}
	st, ok := there.Sys().(*syscall.Stat_t)
	return ok && st.Nlink > 1 // a disk that takes two spellings for one name has one link to it, which must not be removed
}

func renameFolder(old, new string) error {
	_, err := os.Lstat(new)
	if err == nil {
		return fs.ErrExist
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return unwrap(err)
	}
	err = syscall.Rename(old, new)
	if errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, syscall.ENOTDIR) {
		return fs.ErrExist // it was made in the meantime
	}
	return err
}

// unwrap takes off the layer that repeats the names: RenameNoReplace adds its own.
func unwrap(err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return err
}
