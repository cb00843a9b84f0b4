package inbox

import (
	"bytes"
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"sealpost/internal/beneath"
)

// defaultList is the attribute of a folder with the access list for new entries.
const defaultList = "system.posix_acl_default"

// readDefaultList returns the default access list of a folder, or nil if there is none or it cannot
// be read.
func readDefaultList(d *beneath.Dir) (list []byte) {
	d.Handle(func(f *os.File) error { //nolint:errcheck // nil if it cannot be read
		buf := make([]byte, 64<<10) // the largest attribute
		n, err := unix.Fgetxattr(int(f.Fd()), defaultList, buf)
		if err == nil && n > 0 {
			list = buf[:n]
		}
		return err
	})
	return list
}

// hasDefaultList reports whether an access list sets the permissions of new entries of a folder.
func hasDefaultList(d *beneath.Dir) bool { return readDefaultList(d) != nil }

// copyDefaultList copies the default access list of a folder to another one. Without support for
// such lists it does nothing.
func copyDefaultList(from, to *beneath.Dir) error {
	list := readDefaultList(from)
	if bytes.Equal(list, readDefaultList(to)) {
		return nil
	}
	return to.Handle(func(f *os.File) error {
		var err error
		if list == nil {
			err = unix.Fremovexattr(int(f.Fd()), defaultList)
		} else {
			err = unix.Fsetxattr(int(f.Fd()), defaultList, list, 0)
		}
		if errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.ENODATA) {
			return nil
		}
		return err
	})
}
