package durable

import "os"

// TryWrite writes size bytes into a new file of dir, flushes and deletes it. Its error says why the disk takes no more.
func TryWrite(dir string, size int) error {
	temp, err := writeTemp(dir, make([]byte, size), 0o600)
	if err != nil {
		return err
	}
	return os.Remove(temp)
}
