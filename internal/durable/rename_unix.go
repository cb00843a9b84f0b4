//go:build unix

package durable

import (
	"errors"
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"
)

// Entry names a file or folder by its name in an open folder. With unix.AT_FDCWD the name is a path.
type Entry struct {
	Dir  int
	Name string
}

func byPath(path string) Entry { return Entry{unix.AT_FDCWD, path} }

func (e Entry) lstat() (st unix.Stat_t, err error) {
	return st, unix.Fstatat(e.Dir, e.Name, &st, unix.AT_SYMLINK_NOFOLLOW)
}

func (e Entry) remove() error { return unix.Unlinkat(e.Dir, e.Name, 0) }

// RenameEntry is RenameNoReplace for entries of open folders. Its error is the system's, without the names.
func RenameEntry(old, new Entry) error { return renameOr(renameAt, renameByLink, old, new) }

func renameNoReplace(old, new string) error { return RenameEntry(byPath(old), byPath(new)) }

// renameOr takes the second way where the file system (NFS, some FUSE) or an old kernel lacks the first. The kernel answers that a
// name is taken before it asks the file system, so that what the second way left behind is met by the first.
func renameOr(first, second func(old, new Entry) error, old, new Entry) error {
	err := first(old, new)
	if isUnsupported(err) || errors.Is(err, unix.EEXIST) && cutShort(old, new) {
		return second(old, new)
	}
	return err
}

// renameByLink is the way where the system cannot rename without replacing (NFS, some FUSE). A file gets its new name by a hard
// link, which never replaces, and loses the old one: a crash between leaves both names of the one file, and renaming again
// ends it. A folder never takes the place of one in which anything is, and of an empty one only if that was made in the very
// instant between the look and the rename.
func renameByLink(old, new Entry) error {
	st, err := old.lstat()
	if err != nil {
		return err
	}
	if isFolder(st) {
		return renameFolder(old, new)
	}
	return linkThenRemove(old, new, Entry.remove)
}

func linkThenRemove(old, new Entry, remove func(Entry) error) error {
	err := unix.Linkat(old.Dir, old.Name, new.Dir, new.Name, 0)
	if err != nil && !(errors.Is(err, fs.ErrExist) && cutShort(old, new)) {
		return err
	}
	err = remove(old)
	switch {
	case err == nil, errors.Is(err, fs.ErrNotExist): // somebody has taken that name away meanwhile
		return nil
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS): // it stays for good, and both names would be two files to everybody
		return errors.Join(err, new.remove())
	}
	return err // it may be gone all the same, so that the new name may be the last one
}

// cutShort tells whether a name is taken because a rename to it was cut short, or its answer was lost.
func cutShort(old, new Entry) bool {
	mine, err := old.lstat()
	if err != nil || isFolder(mine) {
		return false
	}
	there, err := new.lstat()
	// A disk that takes two spellings for one name has one link to it, which must not be removed.
	return err == nil && mine.Dev == there.Dev && mine.Ino == there.Ino && there.Nlink > 1
}

func renameFolder(old, new Entry) error {
	_, err := new.lstat()
	if err == nil {
		return fs.ErrExist
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	err = unix.Renameat(old.Dir, old.Name, new.Dir, new.Name)
	if errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, syscall.ENOTDIR) {
		return fs.ErrExist // it was made in the meantime
	}
	return err
}

func isFolder(st unix.Stat_t) bool { return uint32(st.Mode)&unix.S_IFMT == unix.S_IFDIR }

// unwrap takes off the layer that repeats the names: RenameNoReplace adds its own.
func unwrap(err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return err
}
