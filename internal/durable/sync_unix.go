//go:build unix

package durable

import (
	"fmt"
	"io/fs"
	"os"
)

// SyncFile makes the content of a file durable.
func SyncFile(path string) error { return syncPath(path) }

// SyncDir makes the entries of a folder durable: the names that were made, changed or removed in it.
func SyncDir(dir string) error { return syncPath(dir) }

// syncPath opens for reading only, which is enough for fsync here and works on files that nobody may write.
func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	err = f.Sync()
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	return nil
}

// InUse says that an operation was refused because another program has the file open, which does not happen here.
func InUse(error) bool { return false }

func replace(old, new string) error { return unwrap(os.Rename(old, new)) }

func chmod(f *os.File, perm fs.FileMode) error { return f.Chmod(perm) }
