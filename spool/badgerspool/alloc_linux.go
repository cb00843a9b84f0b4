package badgerspool

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// preallocate gives the file its size and takes the blocks for it, where the file system can.
func preallocate(f *os.File, size int64) error {
	err := unix.Fallocate(int(f.Fd()), 0, 0, size)
	if errors.Is(err, unix.EOPNOTSUPP) {
		return f.Truncate(size)
	}
	return err
}

// datasync makes the file's data durable, and what is needed to find them.
func datasync(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }

// startWriting begins to write a range to the disk without waiting for it. It promises nothing and only saves time.
func startWriting(f *os.File, offset, length int64) {
	_ = unix.SyncFileRange(int(f.Fd()), offset, length, unix.SYNC_FILE_RANGE_WRITE)
}
