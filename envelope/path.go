package envelope

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Limits of names and paths, in bytes. They bound every buffer that holds one.
const (
	MaxName = 1024
	MaxPath = 4096
)

// Limits of the entries of an envelope. They bound the work and the inodes that it costs.
const (
	MaxDepth   = 256     // components of a path: as many folders may be open at once
	MaxEntries = 1 << 20 // of all messages together
)

// ErrName is wrapped by every error about a name or path that the format cannot hold.
var ErrName = errors.New("cannot travel under this name")

// ValidName checks the name of a message: one component of a path, UTF-8, at most MaxName bytes. An
// inbox has its own, stricter rule for names on disk.
func ValidName(name string) error {
	if strings.Contains(name, "/") {
		return fmt.Errorf("%w: %.80q has a slash", ErrName, name)
	}
	if len(name) > MaxName {
		return fmt.Errorf("%w: %.80q… is longer than %d bytes", ErrName, name, MaxName)
	}
	return ValidPath(name)
}

// ValidPath checks the path of an entry: relative, clean, UTF-8 without NUL, no trailing slash. It
// has at most MaxPath bytes and MaxDepth components. Control characters and backslashes are
// allowed: they are legal names on other systems.
func ValidPath(path string) error {
	if len(path) > MaxPath {
		return fmt.Errorf("%w: %.80q… is longer than %d bytes", ErrName, path, MaxPath)
	}
	if !utf8.ValidString(path) {
		return fmt.Errorf("%w: %.80q is not UTF-8", ErrName, path)
	}
	if strings.IndexByte(path, 0) >= 0 {
		return fmt.Errorf("%w: %.80q has a NUL", ErrName, path)
	}
	if strings.Count(path, "/") >= MaxDepth {
		return fmt.Errorf("%w: %.80q… has more than %d components", ErrName, path, MaxDepth)
	}
	for component := range strings.SplitSeq(path, "/") {
		if component == "" || component == "." || component == ".." {
			return fmt.Errorf("%w: %.80q is not a clean relative path", ErrName, path)
		}
	}
	return nil
}

// entryOrder checks the order of a message's entries: first the name itself, then by the bytes of
// their paths. None may be repeated, and each must lie in a folder that came before it.
//
// One path is memory enough: a later entry can only lie in a folder whose path is a prefix, byte by
// byte, of the last one.
type entryOrder struct {
	name   string
	folder bool // the message is a folder; otherwise it has one entry
	last   string
	open   []int // lengths of those prefixes of last that are folders
}

func (o *entryOrder) reset(name string, folder bool) {
	*o = entryOrder{name: name, folder: folder, open: o.open[:0]}
}

// hasStarted reports whether there was an entry.
func (o *entryOrder) hasStarted() bool { return o.last != "" }

// add takes the next entry, whose path is valid.
func (o *entryOrder) add(path string, dir bool) error {
	if !o.hasStarted() {
		if path != o.name || dir != o.folder {
			return fmt.Errorf("the first entry of %q is %q", o.name, path)
		}
	} else if err := o.follows(path); err != nil {
		return err
	}
	o.last = path
	if dir {
		o.open = append(o.open, len(path))
	}
	return nil
}

func (o *entryOrder) follows(path string) error {
	if !o.folder {
		return fmt.Errorf("the file %q has a second entry, %q", o.name, path)
	}
	if path <= o.last {
		return fmt.Errorf("entry %q comes after %q", path, o.last)
	}
	shared := commonPrefix(path, o.last)
	for len(o.open) > 0 && o.open[len(o.open)-1] > shared {
		o.open = o.open[:len(o.open)-1]
	}
	parent := strings.LastIndexByte(path, '/')
	for _, length := range o.open {
		if length == parent {
			return nil
		}
	}
	return fmt.Errorf("entry %q lies in no folder that came before it", path)
}

func commonPrefix(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
