package outbox

import "sealpost/internal/beneath"

// beingWritten cannot be known here; only that the file may be read.
func beingWritten(d *beneath.Dir, name string) (open, certain bool, err error) {
	f, _, err := d.Open(name)
	if err != nil {
		return false, false, err
	}
	return false, false, f.Close()
}
