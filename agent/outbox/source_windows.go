package outbox

import (
	"errors"

	"golang.org/x/sys/windows"

	"sealpost/internal/beneath"
)

// beingWritten opens the file without allowing writers: the system refuses while there is one. A writer who comes in that
// very instant is refused instead; it is the instant before the file is taken.
func beingWritten(d *beneath.Dir, name string) (open, certain bool, err error) {
	f, _, err := d.Open(name)
	if errors.Is(err, windows.ERROR_SHARING_VIOLATION) {
		return true, true, nil
	}
	if err != nil {
		return false, false, err
	}
	return false, true, f.Close()
}
