package beneath

import (
	"golang.org/x/sys/unix"

	"sealpost/internal/durable"
)

const openFolder = unix.O_RDONLY

func (d *Dir) syncFS() error { return durable.ErrUnsupported }

// Free returns how many bytes this process may still write to the folder's file system.
func (d *Dir) Free() (int64, error) { return durable.Free(d.path) }
