//go:build unix

package secretfile

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"syscall"

	"sealpost/internal/beneath"
	"sealpost/internal/reason"
	"sealpost/internal/way"
)

// Enter makes a folder of secrets private to this account, before a daemon opens files in it by
// path. It refuses a folder that belongs to another account, that another account could replace, or
// that holds files of others. It makes the folder and those in it 0700 and each plain file 0600,
// through handles that follow no link; Read checks keys. It ignores the names in except.
func Enter(dir string, except ...string) (Loose, error) {
	owner, err := ownerOf(dir)
	if err == nil && owner != os.Geteuid() {
		err = closed(dir, way.WrongOwner(owner).AsError())
	}
	if err != nil {
		return Loose{}, err
	}
	return enter(dir, owner, except)
}

// EnterAsAdmin is Enter for a command beside the daemon: root may also enter the folder of another
// account.
func EnterAsAdmin(dir string) (Loose, error) {
	owner, err := ownerOf(dir)
	if err == nil && os.Geteuid() == 0 {
		return enter(dir, owner, nil)
	}
	return Enter(dir)
}

// closed returns the error for an account that may not use a folder of secrets.
func closed(dir string, why error) error {
	return reason.Err("secrets-closed", "folder", dir, "why", why)
}

func ownerOf(dir string) (uid int, err error) {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrPermission) {
		err = closed(dir, err)
	}
	if err != nil {
		return 0, err
	}
	return int(info.Sys().(*syscall.Stat_t).Uid), nil
}

func enter(dir string, owner int, except []string) (loose Loose, err error) {
	faults, err := way.Above(dir, owner)
	if err == nil && len(faults) > 0 {
		err = way.Refuse(dir, faults)
	}
	if err != nil {
		return loose, err
	}
	err = search(dir, owner, except, func(f Flaw, in *beneath.Dir, info beneath.Info) error {
		switch {
		case f.Kind == Foreign:
			return reason.Err("secrets-foreign", "path", filepath.Join(dir, f.Name),
				"account", f.Owner)
		case f.Kind == OpenKey || f.Mode.Type() == fs.ModeSocket: // each start makes a new socket
			return nil
		case f.Kind == Linked || info.Owner != uint32(os.Geteuid()) && os.Geteuid() != 0:
			loose.Left.add(f.Name)
			return nil
		}
		loose.Tightened.add(f.Name)
		return tighten(in, info)
	})
	return loose, err
}

// someNames is the number of names that are kept for the log.
const someNames = 10

func (n *Names) add(name string) {
	n.Count++
	if len(n.First) < someNames {
		n.First = append(n.First, name)
	}
}

// tighten removes the permissions of others from a folder, or from a plain file in it.
func tighten(in *beneath.Dir, info beneath.Info) error {
	if info.IsDir() {
		return in.Chmod(0o700)
	}
	f, opened, err := in.Open(info.Name)
	if err != nil {
		return err
	}
	defer f.Close()
	if opened.ID != info.ID {
		return &fs.PathError{Op: "tighten", Path: f.Name(),
			Err: errors.New("it was replaced meanwhile")}
	}
	return f.Chmod(0o600)
}

// Inspect calls found with each flaw of a folder of secrets, and changes nothing. It skips folders
// that this account may not list.
func Inspect(dir string, found func(Flaw)) error {
	owner, err := ownerOf(dir)
	if err != nil {
		return err
	}
	return search(dir, owner, nil, func(f Flaw, _ *beneath.Dir, _ beneath.Info) error {
		found(f)
		return nil
	})
}

// finding is called with a flaw, and with the folder itself or the folder of a file.
type finding func(f Flaw, in *beneath.Dir, info beneath.Info) error

// search searches a folder of the account owner. Files of root are no flaw of another account.
func search(dir string, owner int, except []string, found finding) error {
	d, err := beneath.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	s := &searching{uint32(owner), except, found}
	return s.folder(d, ".")
}

type searching struct {
	owner  uint32
	except []string
	found  finding
}

// folder checks a folder before its entries. After that, only its account and root can change them.
func (s *searching) folder(d *beneath.Dir, name string) error {
	info, err := d.Info()
	if err == nil && isOpen(info) {
		err = s.found(Flaw{Name: name, Kind: Open, Mode: info.Mode}, d, info)
	}
	if err != nil {
		return err
	}
	return d.Each(func(entries []fs.DirEntry) error {
		for _, e := range entries {
			if err := s.entry(d, e.Name(), path.Join(name, e.Name())); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *searching) entry(d *beneath.Dir, base, name string) error {
	if slices.Contains(s.except, name) {
		return nil
	}
	info, err := d.Lstat(base)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	f := Flaw{Name: name, Mode: info.Mode}
	switch {
	case info.Owner != s.owner && info.Owner != 0:
		f.Kind, f.Owner = Foreign, way.Account(int(info.Owner))
	case info.IsDir():
		sub, err := d.Dir(base)
		if err != nil {
			return err
		}
		defer sub.Close()
		return s.folder(sub, name)
	case !info.IsRegular() && info.Mode.Type() != fs.ModeSocket || !isOpen(info):
		return nil
	case isKey(name):
		f.Kind = OpenKey
	case info.Links > 1:
		f.Kind = Linked
	default:
		f.Kind = Open
	}
	return s.found(f, d, info)
}

func isOpen(info beneath.Info) bool { return info.Mode.Perm()&0o077 != 0 }
