package disk

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// preallocate gives the file its size, and reserves its blocks where the file system can.
func preallocate(f *os.File, size int64) error {
	err := unix.Fallocate(int(f.Fd()), 0, 0, size)
	if errors.Is(err, unix.EOPNOTSUPP) {
		return f.Truncate(size)
	}
	return err
}

// allocate reserves the blocks of a range, where the file system can.
func allocate(f *os.File, offset, length int64) error {
	err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, offset, length)
	if errors.Is(err, unix.EOPNOTSUPP) {
		return nil // they are taken when they are written
	}
	return err
}

// punch frees the blocks of a range, where the file system can.
func punch(f *os.File, offset, length int64) error {
	err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE|unix.FALLOC_FL_PUNCH_HOLE, offset,
		length)
	if errors.Is(err, unix.EOPNOTSUPP) {
		return nil
	}
	return err
}

// datasync makes the data of a file durable, with the metadata needed to read them.
func datasync(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }

// StartWriting starts writing a range to the disk without waiting. It promises nothing and only
// saves time.
func StartWriting(f *os.File, offset, length int64) {
	_ = unix.SyncFileRange(int(f.Fd()), offset, length, unix.SYNC_FILE_RANGE_WRITE)
}
