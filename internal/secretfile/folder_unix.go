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
	"sealpost/internal/way"
	"sealpost/internal/words"
)

// Enter makes sure that a folder of secrets is this account's alone, before a daemon opens anything in it by its path. It
// refuses a folder of another account, one that another account could replace, and what others have put into it. It makes
// the folder and those in it 0700 and each plain file 0600, through handles that follow no link; keys are left to Read. The
// names in except are not looked at.
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

func enter(dir string, owner int, except []string) (loose Loose, err error) {
	faults, err := way.Above(dir, owner)
	if err == nil && len(faults) > 0 {
		err = words.Replaceable(dir, faults)
	}
	if err != nil {
		return loose, err
	}
	err = search(dir, owner, except, func(f Flaw, in *beneath.Dir, info beneath.Info) error {
		switch {
		case f.Kind == Foreign:
			return words.StrangerInState(filepath.Join(dir, f.Name), f.Owner)
		case f.Kind == OpenKey || f.Mode.Type() == fs.ModeSocket: // a socket is made anew at each start
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

// someNames is how many names are kept to be told.
const someNames = 10

func (n *Names) add(name string) {
	n.Count++
	if len(n.First) < someNames {
		n.First = append(n.First, name)
	}
}

// tighten takes the permissions of others from a folder, or from a plain file in it.
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
		return &fs.PathError{Op: "tighten", Path: f.Name(), Err: errors.New("it was replaced meanwhile")}
	}
	return f.Chmod(0o600)
}

// Inspect calls found with each flaw of a folder of secrets, and changes nothing. It cannot look into what this account may
// not list.
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

// finding is called with a flaw, and with the folder itself, or that in which a file lies.
type finding func(f Flaw, in *beneath.Dir, info beneath.Info) error

// search goes through a folder that belongs to an account. What belongs to root is nobody else's.
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

// folder judges a folder before what lies in it: once that is tight, only its account and root change what lies there.
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
