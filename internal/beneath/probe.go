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
// It makes and removes that folder. Entries are removed only in the folder that it has opened:
// nothing is lost if another account puts a folder in its place.
func (d *Dir) Probe(name string) (a Abilities, err error) {
	if err := d.Mkdir(name, 0o700); err != nil {
		return a, err
	}
	try, err := d.Dir(name)
	if err != nil {
		return a, errors.Join(err, d.RemoveDir(name))
	}
	a, err = try.probe()
	err = errors.Join(err, try.clear())
	try.Close() // some systems cannot remove an open folder
	return a, errors.Join(err, d.RemoveDir(name))
}

// clear removes the files of a folder.
func (d *Dir) clear() error {
	var names []string
	err := d.Each(func(entries []fs.DirEntry) error {
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return nil
	})
	for _, name := range names {
		err = errors.Join(err, d.remove(name))
	}
	return err
}

// probe is Probe in an empty folder.
func (try *Dir) probe() (a Abilities, err error) {
	f, err := try.Create("a", 0o600)
	if err != nil {
		return a, err
	}
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
	if a.Times, err = isAble(try.Chtimes("a", time.Unix(1_000_000_000, 0))); err != nil {
		return a, err
	}
	err = try.RenameNoReplace("a", try, "b")
	a.SafeRename = err == nil
	if err != nil && !errors.Is(err, durable.ErrNoSafeRename) {
		return a, err
	}
	if a.Unicode, err = try.takes("\u00e9\u4e2d"); err != nil {
		return a, err
	}
	takes, refused := 0, longestName+1
	for length := longestName; takes+1 < refused; length = (takes + refused) / 2 {
		isTaken, err := try.takes(strings.Repeat("a", length))
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
func (d *Dir) takes(name string) (bool, error) {
	if d.touch(name) == nil {
		return true, nil
	}
	return false, d.touch("plain")
}

// touch makes an empty file unless it exists.
func (d *Dir) touch(name string) error {
	f, err := d.create(name, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// IsUnable reports whether an error means that a disk cannot set a time or permissions, or not
// these. The file is as it was.
func IsUnable(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, errors.ErrUnsupported) ||
		isRefused(err)
}
