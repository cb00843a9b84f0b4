// Package durable changes the file system so that the changes survive a loss of power, on every
// system.
//
// A function that returns nil has written its data and directory entries to disk. One that returns
// an error may have done a part of its work, but never leaves a partial file under its final name.
// The package knows nothing of sealpost. Files named after systems hold their differences.
package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

var (
	// ErrLocked means that another process, or another part of this one, holds the lock.
	ErrLocked = errors.New("locked by another process")
	// ErrUnsupported means that this system has no such operation.
	ErrUnsupported = errors.ErrUnsupported
	// ErrNoSafeRename means that the disk has neither a rename that never replaces nor hard links.
	ErrNoSafeRename = errors.New("its disk has no rename that never replaces, and no hard links")
)

// tempPattern names the temporary files of WriteFile. A crash can leave one behind; nothing ever
// reads it.
const tempPattern = ".durable-*.tmp"

// Join is filepath.Join for a clean path and name: cleaning would cost more than joining.
func Join(dir, name string) string {
	if os.IsPathSeparator(dir[len(dir)-1]) {
		return dir + name // the root of a volume
	}
	return dir + string(filepath.Separator) + name
}

// WriteFile replaces or makes path with exactly data and the permissions perm, whatever the umask.
// A reader sees the old content or the new one, whole, also after a crash.
func WriteFile(path string, data []byte, perm fs.FileMode) error {
	dir := filepath.Dir(path)
	temp, err := writeTemp(dir, data, perm)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := Replace(temp, path); err != nil {
		return fmt.Errorf("write %s: %w", path, errors.Join(err, os.Remove(temp)))
	}
	return SyncDir(dir)
}

// writeTemp makes a synced temporary file in dir. After an error none is left.
func writeTemp(dir string, data []byte, perm fs.FileMode) (string, error) {
	f, err := os.CreateTemp(dir, tempPattern)
	if err != nil {
		return "", err
	}
	err = chmod(f, perm)
	if err == nil {
		_, err = f.Write(data)
	}
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// MkdirAll makes dir and missing folders above it, with perm before umask. It syncs each folder
// that got a new entry, and leaves existing folders unchanged.
func MkdirAll(dir string, perm fs.FileMode) error {
	info, err := os.Stat(dir)
	if err == nil && info.IsDir() {
		return nil
	}
	if err == nil {
		return fmt.Errorf("make folder %s: a file of that name is there", dir)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("make folder: %w", err)
	}
	parent := filepath.Dir(dir)
	if parent == dir {
		return fmt.Errorf("make folder %s: %w", dir, fs.ErrNotExist)
	}
	if err := MkdirAll(parent, perm); err != nil {
		return err
	}
	if err := os.Mkdir(dir, perm); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make folder: %w", err)
	}
	return SyncDir(parent)
}

// Replace renames the file old to new on the same volume in one step, and replaces an existing
// file. If another process blocks the replacement, it retries for a short time. It syncs nothing.
func Replace(old, new string) error {
	if err := replace(old, new); err != nil {
		return &os.LinkError{Op: "rename", Old: old, New: new, Err: err}
	}
	return nil
}

// RenameNoReplace renames the file or folder old to new on the same volume, in one step. It returns
// fs.ErrExist if the new name is taken. It syncs nothing: a group of renames shares one sync. On
// file systems without such a rename, mainly NFS, a crash may leave a file with both names, and the
// next attempt removes the old one. It returns ErrNoSafeRename if a file cannot have two names.
func RenameNoReplace(old, new string) error {
	if err := renameNoReplace(old, new); err != nil {
		return &os.LinkError{Op: "rename without replacing", Old: old, New: new, Err: err}
	}
	return nil
}

// Lock takes the exclusive lock of the file path, or returns ErrLocked at once if it is held. It
// makes a missing file and never removes it. The system releases the lock when its holder closes it
// or ends in any way. Two locks of one path exclude each other within a process too.
func Lock(path string) (io.Closer, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	if err := tryLock(f); err != nil {
		f.Close() // nothing was written
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}

// TryWrite writes size bytes into a new file of dir, flushes and deletes it. Its error has the
// reason why the disk is not writable.
func TryWrite(dir string, size int) error {
	temp, err := writeTemp(dir, make([]byte, size), 0o600)
	if err != nil {
		return err
	}
	return os.Remove(temp)
}
