package durable

import (
	"fmt"
	"io"
	"os"
)

// Lock takes the exclusive lock of the file path, which it makes when absent and never removes, and does not wait: ErrLocked
// says that somebody has it. The system lets go of it when the holder closes it or ends in any way. Two locks of one path
// exclude each other within a process too.
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
