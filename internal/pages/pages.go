// Package pages holds large buffers outside of Go's heap. The collector neither scans them nor
// counts them, so that they do not change its pace or the limit of its memory.
package pages

import "fmt"

// Take returns zeroed memory of a size. The caller gives it back.
func Take(size int) ([]byte, error) {
	b, err := take(size)
	if err != nil {
		return nil, fmt.Errorf("take %d bytes of memory: %w", size, err)
	}
	return b, nil
}

// Give frees memory that Take has returned, in its full length. No slice of it may be used again.
func Give(b []byte) error {
	if err := give(b); err != nil {
		return fmt.Errorf("give back %d bytes of memory: %w", len(b), err)
	}
	return nil
}
