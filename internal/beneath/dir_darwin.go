package beneath

import (
	"golang.org/x/sys/unix"

	"sealpost/internal/durable"
)

const openFolder = unix.O_RDONLY

func (d *Dir) syncFS() error { return durable.ErrUnsupported }

// Free returns the number of bytes that this process can still write to the folder's file system.
func (d *Dir) Free() (int64, error) { return durable.Free(d.path) }

// hasWriter only checks that the file is readable: this system reports no writers.
func (d *Dir) hasWriter(name string) (open, certain bool, err error) {
	fd, err := d.openAny(name, unix.O_RDONLY)
	if err != nil {
		return false, false, err
	}
	return false, false, unix.Close(fd)
}

func (d *Dir) isSameMount(other *Dir) (bool, error) { return d.isSameVolume(other) }

// ProtectsLinks reports false: any account can give a second name to a file of another account.
func ProtectsLinks() bool { return false }
