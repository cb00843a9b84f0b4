package inbox

import (
	"io/fs"

	"sealpost/internal/beneath"
)

// Readers are the accounts of this machine that may read received content. On Windows the inbox's access list decides.
type Readers string

// Whoever may read, the group may also write where it may write to the inbox.
const (
	Group    Readers = "group"    // that of the inbox's folder; the default
	Owner    Readers = "owner"    // this account alone
	Everyone Readers = "everyone" // all accounts
)

// access is what content and its folders get, whatever the umask.
type access struct {
	file, dir fs.FileMode
	group     uint32
	isKept    bool // the volume keeps modes and groups
}

// accessFor derives the access from the inbox's folder.
func (r Readers) accessFor(top beneath.Info, strict bool) access {
	a := access{file: 0o640, dir: 0o750, group: top.Group, isKept: strict}
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

// records is the access to what programs at the site read and only this account writes.
func (a access) records() access {
	a.file &^= 0o022
	a.dir &^= 0o022
	return a
}

// executable is the mode of a file that whoever may read it may run.
func executable(file fs.FileMode) fs.FileMode { return file | file&0o444>>2 }
