package durable

import "os"

// TryWrite writes size bytes into a new file of dir, flushes and deletes it. Its error has the
// reason why the disk is not writable.
func TryWrite(dir string, size int) error {
	temp, err := writeTemp(dir, make([]byte, size), 0o600)
	if err != nil {
		return err
	}
	return os.Remove(temp)
}
