//go:build unix

package inbox

import (
	"crypto/rand"
	"errors"
	"os"
	"syscall"

	"sealpost/internal/beneath"
)

// isOwned reports whether a folder belongs to this account.
func isOwned(i beneath.Info) bool { return i.IsDir() && i.Owner == uint32(os.Geteuid()) }

// isOurs reports whether only this account and root can change what lies in a folder.
func isOurs(i beneath.Info) bool { return isOwned(i) && i.Mode.Perm()&0o022 == 0 }

// isPrivate reports whether only this account and root can reach into a folder.
func isPrivate(i beneath.Info) bool { return isOurs(i) && i.Mode.Perm()&0o077 == 0 }

// tighten takes from other accounts the right to change what lies in a folder of this account.
func tighten(d *beneath.Dir) bool {
	err := d.Handle(func(f *os.File) error {
		info, err := f.Stat()
		if err != nil {
			return err
		}
		return f.Chmod(info.Mode() &^ 0o022)
	})
	info, looked := d.Info()
	return err == nil && looked == nil && isOurs(info)
}

// keepsOwners reports whether the volume gives a file the owner and the mode of who makes it. Mounts of FAT, SMB and the
// like give all files one owner and one mode, which say nothing. The file is judged by its handle: it cannot be another.
func keepsOwners(d *beneath.Dir) (bool, error) {
	name := probe + rand.Text()
	f, err := d.Create(name, 0o600)
	if err != nil {
		return false, err
	}
	info, err := f.Stat()
	d.Remove(name) //nolint:errcheck // another account may have been quicker
	if err = errors.Join(err, f.Close()); err != nil {
		return false, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Uid == uint32(os.Geteuid()) && info.Mode().Perm() == 0o600, nil
}
