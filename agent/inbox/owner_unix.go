//go:build unix

package inbox

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"syscall"

	"sealpost/internal/beneath"
)

// keepsOwners reports whether a new file keeps its owner and mode on the volume. FAT, SMB and
// similar mounts give all files one owner and one mode, which prove nothing. The check uses the
// open file, which no other account can swap.
func keepsOwners(d *beneath.Dir) (bool, error) {
	name := probePrefix + rand.Text()
	f, err := d.Create(name, 0o600)
	if err != nil {
		return false, err
	}
	f.Chmod(0o600) //nolint:errcheck // undoes a default access list; fails on fixed modes
	info, err := f.Stat()
	d.Remove(name) //nolint:errcheck // another account may have removed it
	if err = errors.Join(err, f.Close()); err != nil {
		return false, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Uid == uint32(os.Geteuid()) && info.Mode().Perm() == 0o600, nil
}

// apply sets the group and mode of an open file or folder that this account has just made. It asks
// hasList only if the mode differs: a default access list has set it then, and a new mode would
// cut that list.
func (a access) apply(f *os.File, mode fs.FileMode, hasList func() bool) error {
	if !a.hasOwners {
		return nil
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Gid != a.group {
		if err := f.Chown(-1, int(a.group)); err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
	}
	if info.Mode().Perm() == mode || hasList() {
		return nil
	}
	return a.setMode(f, mode, info.Mode()&fs.ModeSetgid)
}

// enforce sets the group and mode of an own folder. It sets setgid, so that new entries get the
// group, unless the group is that of this process.
func (a access) enforce(d *beneath.Dir, mode fs.FileMode) error {
	if !a.hasOwners {
		return nil
	}
	return d.Handle(func(f *os.File) error {
		info, err := f.Stat()
		if err != nil {
			return err
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if ok && st.Gid != a.group {
			if err := f.Chown(-1, int(a.group)); err != nil && !errors.Is(err, fs.ErrPermission) {
				return err
			}
		}
		setgid := info.Mode() & fs.ModeSetgid
		if a.group != uint32(os.Getegid()) {
			setgid = fs.ModeSetgid
		}
		if info.Mode()&(fs.ModePerm|fs.ModeSetgid) == mode|setgid {
			return nil
		}
		return a.setMode(f, mode, setgid)
	})
}

// setMode sets a mode, if the disk can. It leaves setgid out if it may not set it, as under systemd
// with RestrictSUIDSGID.
func (a access) setMode(f *os.File, mode, setgid fs.FileMode) error {
	if a.isFixed {
		return nil
	}
	err := f.Chmod(mode | setgid)
	if setgid != 0 && errors.Is(err, fs.ErrPermission) {
		err = f.Chmod(mode)
	}
	return err
}
