//go:build unix

package beneath

import (
	"errors"
	"io/fs"
)

// Chmod sets the permissions of the folder itself, whatever the umask.
func (d *Dir) Chmod(perm fs.FileMode) error {
	f, err := d.reader()
	if err != nil {
		return err
	}
	return errors.Join(d.failed("chmod", "", chmod(f, perm)), f.Close())
}
