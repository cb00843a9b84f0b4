// Package durable makes changes to the file system that survive a loss of power, in the same words on every system.
//
// It promises that a function which returns nil has put on disk what its name says: the data and the directory entry. A
// function that returns an error may have done its work in part, but never leaves a file with half its content under its
// final name. The package knows nothing of sealpost; what differs between systems stands in the files named after them.
package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

var (
	// ErrLocked says that another process, or another part of this one, holds the lock.
	ErrLocked = errors.New("locked by another process")
	// ErrUnsupported says that this system has no such operation.
	ErrUnsupported = errors.ErrUnsupported
)

// tempPattern names the temporary files of WriteFile. A crash can leave one behind; nothing ever reads it.
const tempPattern = ".durable-*.tmp"

// Join is filepath.Join for a path and a name that are clean: to make sure of that for each of many files costs more than to put them
// together.
func Join(dir, name string) string {
	if os.IsPathSeparator(dir[len(dir)-1]) {
		return dir + name // the root of a volume
	}
	return dir + string(filepath.Separator) + name
}

// WriteFile replaces or makes path with exactly data and the permissions perm, whatever the umask. A reader
// sees the old content or the new one, whole, also after a crash.
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

// writeTemp leaves a synced temporary file in dir, or nothing.
func writeTemp(dir string, data []byte, perm fs.FileMode) (string, error) {
	f, err := os.CreateTemp(dir, tempPattern)
	if err != nil {
		return "", err
	}
	err = fill(f, data, perm)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

func fill(f *os.File, data []byte, perm fs.FileMode) error {
	if err := chmod(f, perm); err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Sync()
}

// MkdirAll makes dir and what is missing above it, with perm before umask, and syncs each folder that got a new entry. A
// folder that is there stays as it is.
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

// Replace gives the file old the name new on the same volume, in one step, and takes the place of a file of that name.
// Where others may keep a file from being replaced, it waits for them for a moment. It syncs nothing.
func Replace(old, new string) error {
	if err := replace(old, new); err != nil {
		return &os.LinkError{Op: "rename", Old: old, New: new, Err: err}
	}
	return nil
}

// RenameNoReplace gives the file or folder old the name new on the same volume, in one step, and answers fs.ErrExist when
// anything has that name. It syncs nothing: a group of renames shares one sync. On file systems that cannot rename so in one
// step, NFS above all, a crash may leave a file with both names: the next attempt ends it.
func RenameNoReplace(old, new string) error {
	if err := renameNoReplace(old, new); err != nil {
		return &os.LinkError{Op: "rename without replacing", Old: old, New: new, Err: err}
	}
	return nil
}
