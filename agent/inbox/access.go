package inbox

import (
	"io/fs"
	"os"

	"sealpost/internal/beneath"
)

// Readers is a group of accounts on this machine that may read received content. On Windows the
// inbox's access list decides instead.
type Readers string

// The group may also write if it may write to the inbox, except with Owner.
const (
	Group    Readers = "group"    // the group of the inbox's folder; the default
	Owner    Readers = "owner"    // this account only
	Everyone Readers = "everyone" // all accounts
)

// access holds the modes and the group of content and its folders, independent of the umask.
type access struct {
	file, dir fs.FileMode
	group     uint32
	hasOwners bool // the volume keeps modes and groups
	isFixed   bool // the disk cannot set modes: an entry keeps that of its making
}

// accessFor returns the access for content in the inbox top. The caller sets hasOwners.
func (r Readers) accessFor(top beneath.Info) access {
	a := access{file: 0o640, dir: 0o750, group: top.Group}
	switch r {
	case Owner:
		a.file, a.dir = 0o600, 0o700
	case Everyone:
		a.file, a.dir = 0o644, 0o755
	}
	if r != Owner {
		a.file |= top.Mode & 0o020
		a.dir |= top.Mode & 0o020
	}
	return a
}

// records returns the access for records: programs at the site read them, only this account writes.
func (a access) records() access {
	a.file &^= 0o022
	a.dir &^= 0o022
	return a
}

// applyFolder sets the group and mode of a new folder.
func (a access) applyFolder(d *beneath.Dir, hasList func() bool) error {
	info, err := d.Info()
	if err != nil || info.Mode.Perm() == a.dir && info.Group == a.group {
		return err
	}
	return d.Handle(func(f *os.File) error { return a.apply(f, a.dir, hasList) })
}
