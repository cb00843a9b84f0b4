//go:build unix

package secretfile

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"syscall"

	"sealpost/internal/beneath"
	"sealpost/internal/way"
	"sealpost/internal/words"
)

// Enter makes sure that a folder of secrets is this account's alone, before a daemon opens anything in it by its path. It
// refuses a folder of another account, one that another account could replace, and what others have put into it. It makes
// the folder 0700 and each plain file in it, and in its folders, 0600, through handles that follow no link; keys are left to
// Read. The names in except are not looked at.
func Enter(dir string, except ...string) (Loose, error) {
	owner, err := ownerOf(dir)
	if err == nil && owner != os.Geteuid() {
		err = words.StateClosed(dir, errors.New(words.BelongsTo(way.Account(owner))))
	}
	if err != nil {
		return Loose{}, err
	}
	return enter(dir, owner, except)
}

// EnterAsAdmin does as Enter for a command that works beside the daemon: root may also enter the folder of another account.
func EnterAsAdmin(dir string) (Loose, error) {
	owner, err := ownerOf(dir)
	if err == nil && os.Geteuid() == 0 {
		return enter(dir, owner, nil)
	}
	return Enter(dir)
}

func ownerOf(dir string) (uid int, err error) {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrPermission) {
		err = words.StateClosed(dir, err)
	}
	if err != nil {
		return 0, err
	}
	return int(info.Sys().(*syscall.Stat_t).Uid), nil
}

func enter(dir string, owner int, except []string) (Loose, error) {
	faults, err := way.Above(dir, owner)
	if err == nil && len(faults) > 0 {
		err = words.Replaceable(dir, faults)
	}
	if err != nil {
		return Loose{}, err
	}
	d, err := beneath.Open(dir) // what the way leads to, as nobody could replace it
	if err != nil {
		return Loose{}, err
	}
	defer d.Close()
	t := tightening{owner: uint32(owner), except: except}
	err = t.folder(d, ".")
	return t.loose, err
}

// tightening goes through one folder of secrets.
type tightening struct {
	owner  uint32
	except []string
	loose  Loose
}

func (t *tightening) folder(d *beneath.Dir, name string) error {
	info, err := d.Info()
	if err != nil {
		return err
	}
	if t.isLoose(info) && t.mayChange(info) {
		t.loose.Tightened.add(name)
		if err := d.Chmod(0o700); err != nil {
			return err
		}
	} else if t.isLoose(info) {
		t.loose.Left.add(name)
	}
	return d.Each(func(entries []fs.DirEntry) error {
		for _, e := range entries {
			if err := t.entry(d, e.Name(), path.Join(name, e.Name())); err != nil {
				return err
			}
		}
		return nil
	})
}

func (t *tightening) entry(d *beneath.Dir, base, name string) error {
	if slices.Contains(t.except, name) {
		return nil
	}
	info, err := d.Lstat(base)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Owner != t.owner && info.Owner != 0 {
		return words.StrangerInState(path.Join(d.Path(), base), way.Account(int(info.Owner)))
	}
	switch {
	case info.IsDir():
		sub, err := d.Dir(base)
		if err != nil {
			return err
		}
		defer sub.Close()
		return t.folder(sub, name)
	case !info.IsRegular() || !t.isLoose(info) || isKey(name):
		return nil
	case info.Links > 1 || !t.mayChange(info):
		t.loose.Left.add(name)
		return nil
	}
	f, opened, err := d.Open(base)
	if err != nil {
		return err
	}
	defer f.Close()
	if opened.ID != info.ID {
		return &fs.PathError{Op: "tighten", Path: f.Name(), Err: errors.New("it was replaced meanwhile")}
	}
	t.loose.Tightened.add(name)
	return f.Chmod(0o600)
}

func (t *tightening) isLoose(info beneath.Info) bool { return info.Mode.Perm()&0o077 != 0 }

// mayChange reports whether this account may change the mode of something that is its own or its folder's owner's.
func (t *tightening) mayChange(info beneath.Info) bool {
	return info.Owner == t.owner || os.Geteuid() == 0
}
