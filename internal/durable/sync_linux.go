package durable

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// SyncFS makes everything written so far to the file system of dir durable, in one call. Since Linux 5.8 it also reports
// a write that failed in the background and that nobody has been told of.
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
