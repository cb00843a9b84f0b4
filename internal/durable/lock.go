package durable

import (
	"fmt"
	"io"
	"os"
)

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
