package durable

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// SetTime sets the modification time of an open file. Before Linux 5.8 it returns ErrUnsupported.
func SetTime(f *os.File, t time.Time) error {
	ts, err := unix.TimeToTimespec(t)
	if err == nil {
		err = unix.UtimesNanoAt(int(f.Fd()), "", []unix.Timespec{ts, ts}, unix.AT_EMPTY_PATH)
	}
	if errors.Is(err, unix.EINVAL) {
		return ErrUnsupported
	}
	if err != nil {
		return fmt.Errorf("set the time of %s: %w", f.Name(), err)
	}
	return nil
}

// SyncFS makes all earlier writes to the file system of dir durable, in one call. Since Linux 5.8
// it also returns the error of a background write that no call has returned yet.
func SyncFS(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync the file system: %w", err)
	}
	err = unix.Syncfs(int(f.Fd()))
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("sync the file system of %s: %w", dir, err)
	}
	return nil
}

// Free returns the number of bytes that this process can still write to the file system of dir.
func Free(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return int64(s.Bavail) * s.Frsize, nil
}

// Capacity returns the size of the file system of dir in bytes.
func Capacity(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, fmt.Errorf("size of the file system of %s: %w", dir, err)
	}
	return int64(s.Blocks) * s.Frsize, nil
}

func renameAt(old, new Entry) error {
	return unix.Renameat2(old.Dir, old.Name, new.Dir, new.Name, unix.RENAME_NOREPLACE)
}

func isUnsupported(err error) bool {
	return errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) ||
		errors.Is(err, unix.ENOTSUP)
}
