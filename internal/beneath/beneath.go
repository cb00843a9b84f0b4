// Package beneath works in folders in which other accounts may add, rename, swap and remove at any
// time.
//
// A Dir is an open folder. Its methods take names below it and never leave it: they follow no link,
// even one that replaces a name meanwhile, and refuse names with "..", empty parts or a root. On
// Unix each part of a name is opened relative to the one before (openat(2) with O_NOFOLLOW); on
// Windows an open folder and those above it cannot be renamed, and reparse points that lead
// elsewhere are refused. A name below may have several parts, separated by slashes or, on Windows,
// backslashes.
//
// Errors are *fs.PathError or *os.LinkError, with the path for messages only. A Dir may be used by
// several goroutines until it is closed. Close it after each piece of work: an open folder keeps
// its disk mounted. A change is durable only after a method with Sync in its name, WriteFile or
// MkdirAll has returned nil. The package knows nothing of sealpost.
package beneath

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"sealpost/internal/durable"
)

var (
	// ErrLink means that a link has the name of a wanted file or folder.
	ErrLink = errors.New("a link lies in its place")
	// ErrNotRegular means that a folder, pipe, socket or device has the name of a wanted file.
	ErrNotRegular = errors.New("not a regular file")
	// ErrMount means that another file system, or another part of this one, is mounted on a folder.
	ErrMount = errors.New("something else is mounted in its place")
	// ErrName means that a name leaves the folder.
	ErrName = errors.New("not a name below the folder")
)

const (
	pageSize = 256 // entries of a folder held at once
	maxDepth = 1024
)

// ID identifies a file or folder on this machine, for as long as it exists. IDs are comparable.
type ID struct{ Volume, Number uint64 }

func (i ID) String() string {
	text := strconv.AppendUint(make([]byte, 0, 33), i.Volume, 16)
	return string(strconv.AppendUint(append(text, ':'), i.Number, 16))
}

// Info describes a file, folder or link.
type Info struct {
	Name    string
	Size    int64
	Mode    fs.FileMode
	ModTime time.Time
	// of content, name or rights; no account can set it. ModTime if the system has none
	Changed time.Time
	Links   uint64 // number of its names
	Owner   uint32 // of Unix; 0 elsewhere
	Group   uint32 // of Unix; 0 elsewhere
	ID      ID
}

// IsDir reports whether it is a folder.
func (i Info) IsDir() bool { return i.Mode.IsDir() }

// IsRegular reports whether it is a file with content.
func (i Info) IsRegular() bool { return i.Mode.IsRegular() }

// OpenOrMake opens a folder by its path, and durably makes it and missing folders above it.
func OpenOrMake(path string, perm fs.FileMode) (*Dir, error) {
	d, err := Open(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return d, err
	}
	above, err := OpenOrMake(filepath.Dir(path), perm)
	if err != nil {
		return nil, err
	}
	defer above.Close()
	name := filepath.Base(path)
	if err := above.MkdirAll(name, perm); err != nil {
		return nil, err
	}
	return above.Dir(name)
}

// Path returns the path by which the folder was opened, for messages.
func (d *Dir) Path() string { return d.path }

// at returns the path of an entry, for messages.
func (d *Dir) at(name string) string {
	if name == "" {
		return d.path
	}
	return durable.Join(d.path, name)
}

func (d *Dir) failed(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: d.at(name), Err: err}
}

// in calls do with the last part of a name and its folder.
func (d *Dir) in(op, name string, do func(d *Dir, base string) error) error {
	if !isBelow(name) {
		return d.failed(op, name, ErrName)
	}
	held := d
	for {
		first, rest, more := cut(name)
		if !more {
			break
		}
		next, err := held.sub(first)
		held.closeUnless(d)
		if err != nil {
			return err
		}
		held, name = next, rest
	}
	defer held.closeUnless(d)
	return do(held, name)
}

// isBelow reports whether a name stays below a folder in each of its parts.
func isBelow(name string) bool {
	if !filepath.IsLocal(name) {
		return false
	}
	for more := true; more; {
		var part string
		if part, name, more = cut(name); part == "" || part == "." || part == ".." {
			return false
		}
	}
	return true
}

func (d *Dir) closeUnless(other *Dir) {
	if d != other {
		d.Close()
	}
}

// cut splits a name after its first part.
func cut(name string) (first, rest string, more bool) {
	for i := range len(name) {
		if os.IsPathSeparator(name[i]) {
			return name[:i], name[i+1:], true
		}
	}
	return name, "", false
}

// Dir opens a folder below. It returns ErrLink if a link has that name.
func (d *Dir) Dir(name string) (found *Dir, err error) {
	err = d.in("open", name, func(d *Dir, base string) (err error) {
		found, err = d.sub(base)
		return err
	})
	return found, err
}

// DirSameMount is Dir, but returns ErrMount if the folder is a mount point. It is for folders that
// come and go. If the system does not distinguish mounts, the volume decides.
func (d *Dir) DirSameMount(name string) (*Dir, error) {
	sub, err := d.Dir(name)
	if err != nil {
		return nil, err
	}
	same, err := d.isSameMount(sub)
	if err == nil && !same {
		err = ErrMount
	}
	if err != nil {
		sub.Close()
		return nil, d.failed("open", name, err)
	}
	sub.class.known.Store(d.class.known.Load())
	return sub, nil
}

// IsSameDisk reports whether entries can be renamed between two folders. They are on the same
// volume, and on the same mount if the system distinguishes mounts.
func (d *Dir) IsSameDisk(other *Dir) (bool, error) {
	isSame, err := d.isSameVolume(other)
	if err != nil || !isSame {
		return false, err
	}
	return d.isSameMount(other)
}

func (d *Dir) isSameVolume(other *Dir) (bool, error) {
	own, err := d.Info()
	if err != nil {
		return false, err
	}
	its, err := other.Info()
	return own.ID.Volume == its.ID.Volume, err
}

// Lstat describes the entry of a name.
func (d *Dir) Lstat(name string) (info Info, err error) {
	err = d.in("lstat", name, func(d *Dir, base string) (err error) {
		info, err = d.lstat(base)
		return err
	})
	return info, err
}

// Exists reports whether a name can be found.
func (d *Dir) Exists(name string) bool {
	_, err := d.Lstat(name)
	return err == nil
}

// Open opens a regular file for reading, and describes it. It never waits for the other end of a
// pipe.
func (d *Dir) Open(name string) (f *os.File, info Info, err error) {
	err = d.in("open", name, func(d *Dir, base string) (err error) {
		f, info, err = d.open(base)
		return err
	})
	return f, info, err
}

// ReadFile returns the content of a regular file, at most limit bytes of it.
func (d *Dir) ReadFile(name string, limit int64) ([]byte, error) {
	f, _, err := d.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}

// Remove removes a file, a link or an empty folder.
func (d *Dir) Remove(name string) error {
	return d.in("remove", name, (*Dir).remove)
}

// RemoveDir removes an empty folder, and nothing else that lies in its place.
func (d *Dir) RemoveDir(name string) error {
	return d.in("remove", name, (*Dir).removeDir)
}

// RemoveAll removes a file, a link, or a folder with everything in it. A missing name is no error.
func (d *Dir) RemoveAll(name string) error {
	return d.in("remove", name, func(d *Dir, base string) error {
		return d.removeAll(base, maxDepth)
	})
}

func (d *Dir) removeAll(base string, depth int) error {
	err := d.remove(base)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	sub, opened := d.sub(base)
	if opened != nil || depth == 0 {
		return err
	}
	defer sub.Close()
	for {
		var names []string
		err := sub.Each(func(entries []fs.DirEntry) error {
			for _, e := range entries {
				names = append(names, e.Name())
			}
			return errEnough
		})
		if err != nil && err != errEnough {
			return err
		}
		for _, name := range names {
			if err := sub.removeAll(name, depth-1); err != nil {
				return err
			}
		}
		if len(names) == 0 {
			break
		}
	}
	sub.Close() // some systems cannot remove an open folder
	if err := d.remove(base); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

var errEnough = errors.New("enough read")

// Rename renames an entry, below this or another folder of the same file system, and replaces a
// file.
func (d *Dir) Rename(name string, to *Dir, newName string) error {
	return d.rename("rename", name, to, newName, rename)
}

// RenameNoReplace is Rename, but returns fs.ErrExist if the new name is taken. See
// durable.RenameNoReplace.
func (d *Dir) RenameNoReplace(name string, to *Dir, newName string) error {
	return d.rename("rename without replacing", name, to, newName, renameNoReplace)
}

// RenameOrLook is RenameNoReplace, also for disks without a safe rename. There it looks and then
// renames: an entry that another program makes in between is replaced. The caller excludes its own
// goroutines.
func (d *Dir) RenameOrLook(name string, to *Dir, newName string) error {
	err := d.RenameNoReplace(name, to, newName)
	if errors.Is(err, durable.ErrNoSafeRename) {
		err = d.rename("rename after a look", name, to, newName, renameByLook)
	}
	return err
}

func (d *Dir) rename(op, name string, to *Dir, newName string,
	do func(from *Dir, name string, to *Dir, newName string) error) error {
	return d.in(op, name, func(from *Dir, base string) error {
		return to.in(op, newName, func(to *Dir, newBase string) error {
			if err := do(from, base, to, newBase); err != nil {
				return &os.LinkError{Op: op, Old: from.at(base), New: to.at(newBase), Err: err}
			}
			return nil
		})
	})
}

// Each calls visit with the entries of the folder, at most 256 at once, until it returns an error.
// They come in no order.
func (d *Dir) Each(visit func([]fs.DirEntry) error) error {
	f, err := d.reader()
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		entries, err := f.ReadDir(pageSize)
		if len(entries) > 0 {
			if err := visit(entries); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Handle opens the folder itself for reading and calls do with it, for its mode, owner and lists.
func (d *Dir) Handle(do func(*os.File) error) error {
	f, err := d.reader()
	if err != nil {
		return err
	}
	defer f.Close()
	return do(f)
}

// IsEmpty reports whether the folder has no entries.
func (d *Dir) IsEmpty() (bool, error) {
	f, err := d.reader()
	if err != nil {
		return false, err
	}
	defer f.Close()
	_, err = f.Readdirnames(1)
	if err == io.EOF {
		return true, nil
	}
	return false, err
}

// Chtimes sets the modification time of an entry.
func (d *Dir) Chtimes(name string, t time.Time) error {
	return d.in("set the time of", name, func(d *Dir, base string) error {
		return d.chtimes(base, t)
	})
}

// IsName reports whether a text is one part of a name: not empty, no separator, and neither "." nor
// "..".
func IsName(name string) bool {
	return filepath.IsLocal(name) && name != "." && !strings.ContainsRune(name, '/') &&
		filepath.Base(name) == name
}
