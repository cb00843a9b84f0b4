//go:build unix

package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// SyncFile makes the content of a file durable.
func SyncFile(path string) error { return syncPath(path) }

// SyncDir makes the entries of a folder durable: new, changed and removed names.
func SyncDir(dir string) error { return syncPath(dir) }

// syncPath opens for reading only: that is enough for fsync, and works on read-only files.
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

// InUse returns false: no operation fails here because another program has the file open.
func InUse(error) bool { return false }

func replace(old, new string) error { return unwrap(os.Rename(old, new)) }

func chmod(f *os.File, perm fs.FileMode) error { return f.Chmod(perm) }

func tryLock(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return ErrLocked
	}
	return err
}

// IsFull reports whether an error means that a disk, or the account's share of it, is full.
func IsFull(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }
