package durable

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Free returns the number of bytes that this process can still write to the file system of dir.
func Free(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return int64(s.Bavail) * s.Frsize, nil
}
