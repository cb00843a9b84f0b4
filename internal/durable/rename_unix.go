//go:build unix

package durable

import (
	"errors"
	"io/fs"
	"os"
	"sync"
	"syscall"
)

// renameByLink is the way where the system cannot rename without replacing (NFS, some FUSE). A file gets its new name by a hard
// link, which never replaces, and loses the old one: a crash between leaves both names of the one file. A folder's new name
// is claimed by an empty folder, which rename may replace: a crash between leaves that. Either is ended by renaming again.
func renameByLink(old, new string) error {
	info, err := os.Lstat(old)
	if err != nil {
		return unwrap(err)
	}
	if info.IsDir() {
		return renameOverClaim(old, new)
	}
	if err := os.Link(old, new); err != nil && !(errors.Is(err, fs.ErrExist) && cutShort(old, new)) {
		return unwrap(err)
	}
	err = os.Remove(old)
	if err == nil || errors.Is(err, fs.ErrNotExist) { // somebody has taken that name away meanwhile
		return nil
	}
	return errors.Join(unwrap(err), os.Remove(new)) // both names would be two files to everybody
}

// cutShort tells whether a name is taken because a rename to it was cut short, or its answer was lost.
func cutShort(old, new string) bool {
	mine, err := os.Lstat(old)
	if err != nil {
		return false
	}
	there, err := os.Lstat(new)
	if err != nil {
		return false
	}
	st, ok := there.Sys().(*syscall.Stat_t)
	if mine.IsDir() {
		return ok && isClaim(there, st) // that it is empty rename sees for itself
	}
	// A disk that takes two spellings for one name has one link to it, which must not be removed.
	return ok && st.Nlink > 1 && os.SameFile(mine, there)
}

// claim is the mode of an empty folder that claims a name: the sticky bit means nothing on a folder of one's own, so that nobody
// else makes one like it.
const claim = fs.ModeDir | fs.ModeSticky | 0o700

// claims makes sure that what is found of a claim is not another's of this process, who is about to rename.
var claims sync.Mutex

func renameOverClaim(old, new string) error {
	claims.Lock()
	defer claims.Unlock()
	if err := syscall.Mkdir(new, syscall.S_ISVTX|0o700); err != nil && !(errors.Is(err, fs.ErrExist) && cutShort(old, new)) {
		return err
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

func isClaim(info fs.FileInfo, st *syscall.Stat_t) bool {
	const inherited = fs.ModeSetgid // from the folder in which it lies
	return info.Mode()&^inherited == claim && int(st.Uid) == os.Geteuid()
}

// unwrap takes off the layer that repeats the names: RenameNoReplace adds its own.
func unwrap(err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return err
}
