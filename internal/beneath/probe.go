package beneath

import (
	"errors"
	"io/fs"
	"strings"
	"time"

	"sealpost/internal/durable"
)

// Abilities are those of a disk that others lack.
type Abilities struct {
	Times      bool // the modification time of a file can be set
	Modes      bool // permissions can be set
	SafeRename bool // a file can be renamed without replacing: see RenameNoReplace
	Unicode    bool // names beyond ASCII
	NameMax    int  // length of the longest name in bytes, at most 255
}

// longestName is the length of the longest name on most disks.
const longestName = 255

// Probe finds out the abilities of the folder's disk, by trying them in a folder of the given name.
// It makes and removes that folder.
func (d *Dir) Probe(name string) (a Abilities, err error) {
	if err := d.Mkdir(name, 0o700); err != nil {
		return a, err
	}
	defer func() { err = errors.Join(err, d.RemoveAll(name)) }()
	try, err := d.Dir(name)
	if err != nil {
		return a, err
	}
	defer try.Close()
	f, err := try.Create("a", 0o600)
	if err != nil {
		return a, err
	}
	a.Modes = chmod(f, 0o640) == nil
	if err := f.Close(); err != nil {
		return a, err
	}
	a.Times = try.Chtimes("a", time.Unix(1_000_000_000, 0)) == nil
	err = try.RenameNoReplace("a", try, "b")
	a.SafeRename = err == nil
	if err != nil && !errors.Is(err, durable.ErrNoSafeRename) {
		return a, err
	}
	a.Unicode = try.takes("\u00e9\u4e2d")
	takes, refused := 0, longestName+1
	for length := longestName; takes+1 < refused; length = (takes + refused) / 2 {
		if try.takes(strings.Repeat("a", length)) {
			takes = length
		} else {
			refused = length
		}
	}
	a.NameMax = takes
	return a, nil
}

// takes reports whether a file of a name can be made.
func (d *Dir) takes(name string) bool {
	f, err := d.Create(name, 0o600)
	if err == nil {
		f.Close() //nolint:errcheck // nothing was written
	}
	return err == nil || errors.Is(err, fs.ErrExist)
}
