//go:build unix

package way

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// maxLinks bounds the links on one way, like the system's limit.
const maxLinks = 40

// Above returns the faults of the folders that lead to path, the outermost first. It trusts root,
// the owner of the folder /, and the given accounts. Path is absolute. Of its target only the owner
// is checked, and only in a sticky folder. With an error it returns the faults up to the place of
// the error.
func Above(path string, trusted ...int) ([]Fault, error) {
	w := newWalk(trusted)
	_, err := w.follow(path)
	return w.faults, err
}

// Into returns the faults of a folder and of those that lead to it, for a new file in it.
func Into(folder string, trusted ...int) ([]Fault, error) {
	w := newWalk(trusted)
	at, err := w.follow(folder)
	if err == nil {
		err = w.enter(at)
	}
	return w.faults, err
}

// walk follows one path from the root of the file system.
type walk struct {
	trusted []int
	faults  []Fault
	links   int
	sticky  bool // others may write to the reached folder, but change only their own entries
}

func newWalk(trusted []int) *walk {
	w := &walk{trusted: append([]int{0}, trusted...)}
	if info, err := os.Lstat("/"); err == nil {
		// the overflow account, in a user namespace without the machine's root
		w.trusted = append(w.trusted, owner(info))
	}
	return w
}

// follow returns the path without links. It checks each folder before it reads it: without a fault
// so far, its entries stay.
func (w *walk) follow(path string) (string, error) {
	if !filepath.IsAbs(path) {
		return path, fmt.Errorf("judge the way to %s: it is no absolute path", path)
	}
	at, rest := "/", elements(path)
	if err := w.enter(at); err != nil {
		return at, err
	}
	for len(rest) > 0 {
		name := rest[0]
		rest = rest[1:]
		if name == ".." {
			at = filepath.Dir(at)
			if err := w.enter(at); err != nil {
				return at, err
			}
			continue
		}
		next := filepath.Join(at, name)
		info, err := os.Lstat(next)
		if err != nil {
			return at, err
		}
		if w.sticky && !slices.Contains(w.trusted, owner(info)) {
			w.add(Fault{next, Foreign, Account(owner(info))})
		}
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			if w.links++; w.links > maxLinks {
				return at, &fs.PathError{Op: "follow", Path: next, Err: syscall.ELOOP}
			}
			target, err := os.Readlink(next)
			if err != nil {
				return at, err
			}
			if filepath.IsAbs(target) {
				at = "/"
				if err := w.enter(at); err != nil {
					return at, err
				}
			}
			rest = append(elements(target), rest...)
		default:
			at = next
			if len(rest) == 0 {
				return at, nil
			}
			if err := w.enter(at); err != nil {
				return at, err
			}
		}
	}
	return at, nil
}

// elements splits a path; a name after .. stays behind it, as a link may lie before it.
func elements(path string) (list []string) {
	for name := range strings.SplitSeq(path, "/") {
		if name != "" && name != "." {
			list = append(list, name)
		}
	}
	return list
}

// enter checks a folder before an entry is looked up in it.
func (w *walk) enter(folder string) error {
	info, err := os.Lstat(folder)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return &fs.PathError{Op: "follow", Path: folder, Err: syscall.ENOTDIR}
	}
	w.sticky = false
	if !slices.Contains(w.trusted, owner(info)) {
		w.add(Fault{folder, Foreign, Account(owner(info))})
		return nil
	}
	writers, err := w.writers(folder, info)
	if err != nil {
		return err
	}
	if info.Mode()&fs.ModeSticky != 0 {
		w.sticky = len(writers) > 0
		return nil
	}
	for _, f := range writers {
		w.add(f)
	}
	return nil
}

// add adds a fault once: links may lead through a folder again.
func (w *walk) add(f Fault) {
	if !slices.Contains(w.faults, f) {
		w.faults = append(w.faults, f)
	}
}

// writers returns a fault for each account or group besides the owner that may write to a folder.
func (w *walk) writers(folder string, info fs.FileInfo) (list []Fault, err error) {
	mode := info.Mode().Perm()
	if mode&0o002 != 0 {
		list = append(list, Fault{folder, AnyoneWrites, ""})
	}
	if mode&0o020 == 0 { // with an access list: the most that it gives
		return list, nil
	}
	entries, err := accessList(folder)
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return list, fmt.Errorf("access list of %s: %w", folder, err)
	}
	if entries == nil {
		entries = []entry{{flaw: GroupWrites}}
	}
	for _, e := range entries {
		switch {
		case e.flaw == GroupWrites:
			e.id = int(info.Sys().(*syscall.Stat_t).Gid)
			fallthrough
		case e.flaw == ListGroupWrites:
			if !w.isTrustedGroup(e.id) {
				list = append(list, Fault{folder, e.flaw, group(e.id)})
			}
		case !slices.Contains(w.trusted, e.id):
			list = append(list, Fault{folder, e.flaw, Account(e.id)})
		}
	}
	return list, nil
}

// entry is a right to write, from an access list.
type entry struct {
	flaw Flaw
	id   int
}

func owner(info fs.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Uid) }
