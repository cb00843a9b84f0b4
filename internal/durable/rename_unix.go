//go:build unix

package durable

import (
	"errors"
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"
)

// Entry is the name of a file or folder in an open folder. With unix.AT_FDCWD the name is a path.
type Entry struct {
	Dir  int
	Name string
}

func byPath(path string) Entry { return Entry{unix.AT_FDCWD, path} }

func (e Entry) lstat() (st unix.Stat_t, err error) {
	return st, unix.Fstatat(e.Dir, e.Name, &st, unix.AT_SYMLINK_NOFOLLOW)
}

func (e Entry) remove() error { return unix.Unlinkat(e.Dir, e.Name, 0) }

// RenameEntry is RenameNoReplace for entries of open folders. It returns the system's error,
// without the names.
func RenameEntry(old, new Entry) error { return renameOr(renameAt, renameByLink, old, new) }

func renameNoReplace(old, new string) error { return RenameEntry(byPath(old), byPath(new)) }

// renameOr calls second if the file system (NFS, some FUSE) or an old kernel lacks first. The
// kernel reports a taken name before it asks the file system, so first also meets the remains of
// second.
func renameOr(first, second func(old, new Entry) error, old, new Entry) error {
	err := first(old, new)
	if isUnsupported(err) || errors.Is(err, unix.EEXIST) && isCutShort(old, new) {
		return second(old, new)
	}
	return err
}

// renameByLink renames for systems that cannot rename without replacing (NFS, some FUSE). A file
// gets its new name by a hard link, which never replaces, and then loses the old one. A crash
// between the two leaves both names, and another rename ends it. A folder never replaces one that
// has entries. It replaces an empty one only if that was made between the check and the rename.
func renameByLink(old, new Entry) error {
	st, err := old.lstat()
	if err != nil {
		return err
	}
	if isFolder(st) {
		return RenameByLook(old, new)
	}
	return linkThenRemove(old, new, Entry.remove)
}

func linkThenRemove(old, new Entry, remove func(Entry) error) error {
	err := unix.Linkat(old.Dir, old.Name, new.Dir, new.Name, 0)
	if hasNoLinks(err) {
		return ErrNoSafeRename
	}
	if err != nil && !(errors.Is(err, fs.ErrExist) && isCutShort(old, new)) {
		return err
	}
	err = remove(old)
	switch {
	case err == nil, errors.Is(err, fs.ErrNotExist): // another process removed that name meanwhile
		return nil
	case errors.Is(err, fs.ErrPermission),
		errors.Is(err, syscall.EROFS): // it stays, and both names would be two files
		return errors.Join(err, new.remove())
	}
	return err // it may be gone nevertheless: the new name may be the last one
}

// hasNoLinks reports whether a file cannot have another name, from the error of link(2). EPERM is
// also the answer for files that this account may not read and write (fs.protected_hardlinks).
func hasNoLinks(err error) bool {
	return errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOTSUP) ||
		errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EMLINK)
}

// isCutShort reports whether a name is taken because a rename to it was interrupted or its answer
// was lost.
func isCutShort(old, new Entry) bool {
	oldStat, err := old.lstat()
	if err != nil || isFolder(oldStat) {
		return false
	}
	newStat, err := new.lstat()
	// If the disk treats two spellings as one name, the file has one link, which must not be
	// removed.
	return err == nil && oldStat.Dev == newStat.Dev && oldStat.Ino == newStat.Ino &&
		newStat.Nlink > 1
}

// RenameByLook renames an entry if a look finds no entry of the new name. It is for disks without a
// safe rename, and for folders: a file that is made between look and rename is replaced. It returns
// fs.ErrExist if the new name is taken.
func RenameByLook(old, new Entry) error {
	_, err := new.lstat()
	if err == nil {
		return fs.ErrExist
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	err = unix.Renameat(old.Dir, old.Name, new.Dir, new.Name)
	if errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, syscall.ENOTDIR) {
		return fs.ErrExist // it was made meanwhile
	}
	return err
}

func isFolder(st unix.Stat_t) bool { return uint32(st.Mode)&unix.S_IFMT == unix.S_IFDIR }

// unwrap removes the layer with the names: RenameNoReplace adds its own.
func unwrap(err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return err
}
