package beneath

import (
	"errors"

	"golang.org/x/sys/unix"
)

// openFolder needs no right to list the folder.
const openFolder = unix.O_PATH

// syncFS makes everything written so far to the folder's file system durable. See durable.SyncFS.
func (d *Dir) syncFS() error {
	f, err := d.reader()
	if err != nil {
		return err
	}
	return errors.Join(d.failed("sync the file system of", "", unix.Syncfs(int(f.Fd()))), f.Close())
}

// Free returns how many bytes this process may still write to the folder's file system.
func (d *Dir) Free() (int64, error) {
	var s unix.Statfs_t
	if err := unix.Fstatfs(d.fd, &s); err != nil {
		return 0, d.failed("free space of", "", err)
	}
	return int64(s.Bavail) * s.Frsize, nil
}
