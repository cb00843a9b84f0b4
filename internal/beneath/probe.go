package beneath

import (
	"errors"
	"io/fs"
	"strings"
	"time"

	"sealpost/internal/durable"
)

// Abilities are those of a disk that others lack. They are comparable.
type Abilities struct {
	Times      bool `json:"times"`       // the modification time of a file can be set
	Modes      bool `json:"modes"`       // permissions can be set
	SafeRename bool `json:"safe_rename"` // a file can be renamed without replacing: RenameNoReplace
	Unicode    bool `json:"unicode"`     // names beyond ASCII
	NameMax    int  `json:"name_max"`    // bytes of the longest name, at most 255; 0: not probed
}

// longestName is the length of the longest name on most disks.
const longestName = 255

// Probe finds out the abilities of the folder's disk, by trying them in a folder of the given name.
// It makes and removes that folder. It removes only its own files: nothing is lost if another
// account puts another folder in its place.
func (d *Dir) Probe(name string) (a Abilities, err error) {
	if err := d.Mkdir(name, 0o700); err != nil {
		return a, err
	}
	try, err := d.Dir(name)
	if err != nil {
		return a, errors.Join(err, d.RemoveDir(name))
	}
	p := probe{dir: try}
	a, err = p.run()
	err = errors.Join(err, p.clear())
	try.Close() // some systems cannot remove an open folder
	return a, errors.Join(err, d.RemoveDir(name))
}

// probe tries the abilities of a disk in a folder.
type probe struct {
	dir  *Dir
	made []string // names of its files
}

func (p *probe) run() (a Abilities, err error) {
	f, err := p.dir.create("a", 0o600)
	if err != nil {
		return a, err
	}
	p.made = append(p.made, "a")
	isAble := func(err error) (bool, error) {
		if IsUnable(err) {
			return false, nil
		}
		return err == nil, err
	}
	a.Modes, err = isAble(chmod(f, 0o640))
	if err = errors.Join(err, f.Close()); err != nil {
		return a, err
	}
	if a.Times, err = isAble(p.dir.chtimes("a", time.Unix(1_000_000_000, 0))); err != nil {
		return a, err
	}
	err = p.dir.RenameNoReplace("a", p.dir, "b")
	if a.SafeRename = err == nil; a.SafeRename {
		p.made = append(p.made, "b")
	} else if !errors.Is(err, durable.ErrNoSafeRename) {
		return a, err
	}
	if a.Unicode, err = p.takes("\u00e9\u4e2d"); err != nil {
		return a, err
	}
	takes, refused := 0, longestName+1
	for length := longestName; takes+1 < refused; length = (takes + refused) / 2 {
		isTaken, err := p.takes(strings.Repeat("a", length))
		if err != nil {
			return a, err
		}
		if isTaken {
			takes = length
		} else {
			refused = length
		}
	}
	a.NameMax = takes
	return a, nil
}

// takes reports whether the disk takes a name. Disks refuse names with various errors: an error is
// about the name if the disk takes a plain one after it.
func (p *probe) takes(name string) (bool, error) {
	if p.touch(name) == nil {
		return true, nil
	}
	return false, p.touch("plain")
}

// touch makes an empty file unless it exists.
func (p *probe) touch(name string) error {
	f, err := p.dir.create(name, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	p.made = append(p.made, name)
	return f.Close()
}

// clear removes the files of the probe.
func (p *probe) clear() error {
	for _, name := range p.made {
		if err := p.dir.remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// IsUnable reports whether an error means that a disk cannot set a time or permissions, or not
// these. The file is as it was.
func IsUnable(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, errors.ErrUnsupported) ||
		isRefused(err)
}
