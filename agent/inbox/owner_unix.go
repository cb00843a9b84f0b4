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

// keepsOwners reports whether the volume gives a file the owner and the mode of who makes it. Mounts of FAT, SMB and the
// like give all files one owner and one mode, which say nothing. The file is judged by its handle: it cannot be another.
func keepsOwners(d *beneath.Dir) (bool, error) {
	name := probe + rand.Text()
	f, err := d.Create(name, 0o600)
	if err != nil {
		return false, err
	}
	f.Chmod(0o600) //nolint:errcheck // a default access list may have taken rights; where modes are fixed it may fail
	info, err := f.Stat()
	d.Remove(name) //nolint:errcheck // another account may have been quicker
	if err = errors.Join(err, f.Close()); err != nil {
		return false, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Uid == uint32(os.Geteuid()) && info.Mode().Perm() == 0o600, nil
}

// give gives an open file or folder, just made by this account, its group and mode. A default access list has decided already
// who gets less than the mode, and a new mode would cut it: isListed is asked only then.
func (a access) give(f *os.File, mode fs.FileMode, isListed func() bool) error {
	if !a.isKept {
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
	if info.Mode().Perm() == mode || isListed() {
		return nil
	}
	return setMode(f, mode, info.Mode()&fs.ModeSetgid)
}

// settle gives a folder of the service's own its group and mode, whatever they were. What is made in it belongs to the group:
// it hands that on (setgid) unless it is that of this process.
func (a access) settle(d *beneath.Dir, mode fs.FileMode) error {
	if !a.isKept {
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
		return setMode(f, mode, setgid)
	})
}

// setMode sets a mode. Services under systemd may not set the setgid bit (RestrictSUIDSGID), and then it is left out.
func setMode(f *os.File, mode, setgid fs.FileMode) error {
	err := f.Chmod(mode | setgid)
	if setgid != 0 && errors.Is(err, fs.ErrPermission) {
		err = f.Chmod(mode)
	}
	return err
}
