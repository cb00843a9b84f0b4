package tray

import (
	"errors"
	"io/fs"
	"path"
	"strings"
	"sync/atomic"

	"sealpost/internal/beneath"
	"sealpost/internal/reason"
)

// Handles are the folders of a tray that one goroutine holds open for one piece of work. Every file
// of a tray is reached through them, by its path in the tray. No link on that path is followed:
// other accounts may swap any name in it meanwhile.
type Handles struct {
	Root   *beneath.Dir // the tray itself
	Copied atomic.Int64 // the bytes that Copy and CopyBelow have copied
	t      *Tray
	held   map[string]*beneath.Dir // folders below it, by path in the tray
}

// maxHeld bounds the folders that a long piece of work holds open: see Relax.
const maxHeld = 64

// ErrState is the error of a tray that has the agent's state folder in it.
var ErrState = reason.Err("state-in-tray")

// Open opens the tray for one piece of work, which ends with Close. The disk of an open tray cannot
// be unmounted.
func (t *Tray) Open() (*Handles, error) {
	dir, err := beneath.Open(t.Dir)
	if err != nil {
		return nil, err
	}
	h := &Handles{Root: dir, t: t, held: map[string]*beneath.Dir{}}
	if err := t.notState(dir); err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

// Close closes the tray and its folders.
func (h *Handles) Close() {
	h.Release()
	h.Root.Close()
}

// Release closes the folders below the tray.
func (h *Handles) Release() {
	for _, d := range h.held {
		d.Close()
	}
	clear(h.held)
}

// Relax closes the folders if there are many. Long work calls it between two messages.
func (h *Handles) Relax() {
	if len(h.held) >= maxHeld {
		h.Release()
	}
}

// Dir opens a folder by its path in the tray. It stays open until the end of the work, or Relax. ""
// is the tray itself.
func (h *Handles) Dir(rel string) (*beneath.Dir, error) {
	if rel == "" || rel == "." {
		return h.Root, nil
	}
	if d := h.held[rel]; d != nil {
		return d, nil
	}
	above, err := h.Dir(path.Dir(rel))
	if err != nil {
		return nil, err
	}
	open := above.Dir
	if strings.Contains(rel, "/") && !strings.HasPrefix(rel, OutboxPart+"/@") {
		open = above.DirSameMount // the parts and folders of addresses may be mounts of an admin's
	}
	d, err := open(path.Base(rel))
	if err != nil {
		return nil, err
	}
	if err := h.t.notState(d); err != nil {
		d.Close()
		return nil, err
	}
	if h.t.Class != nil {
		d.Assume(*h.t.Class)
	}
	h.held[rel] = d
	return d, nil
}

// At returns the folder of the entry at a path, and the entry's name.
func (h *Handles) At(rel string) (d *beneath.Dir, name string, err error) {
	d, err = h.Dir(path.Dir(rel))
	return d, path.Base(rel), err
}

// With calls do with the folder of the entry at a path, and the entry's name.
func (h *Handles) With(rel string, do func(d *beneath.Dir, name string) error) error {
	d, name, err := h.At(rel)
	if err != nil {
		return err
	}
	return do(d, name)
}

// Lstat returns the state of the entry at a path, and follows no link.
func (h *Handles) Lstat(rel string) (info beneath.Info, err error) {
	err = h.With(rel, func(d *beneath.Dir, name string) (err error) {
		info, err = d.Lstat(name)
		return err
	})
	return info, err
}

// Exists reports whether an entry is at a path.
func (h *Handles) Exists(rel string) bool {
	_, err := h.Lstat(rel)
	return err == nil
}

// IsGone reports that no entry is at a path. It is false if a link or a file on the way hides the
// place.
func (h *Handles) IsGone(rel string) bool {
	_, err := h.Lstat(rel)
	return errors.Is(err, fs.ErrNotExist)
}

// IsDir reports whether a folder is at a path.
func (h *Handles) IsDir(rel string) bool {
	info, err := h.Lstat(rel)
	return err == nil && info.IsDir()
}

// Mkdir makes a folder.
func (h *Handles) Mkdir(rel string) error {
	return h.With(rel, func(d *beneath.Dir, name string) error { return d.Mkdir(name, 0o777) })
}

// RemoveDir removes an empty folder, but no other entry in its place.
func (h *Handles) RemoveDir(rel string) error {
	h.Forget(rel)
	return h.With(rel, (*beneath.Dir).RemoveDir)
}

// Remove removes a file or an empty folder.
func (h *Handles) Remove(rel string) error {
	h.Forget(rel)
	return h.With(rel, (*beneath.Dir).Remove)
}

// Rename renames an entry within the tray, and never replaces another.
func (h *Handles) Rename(from, to string) error {
	h.Forget(from)
	return h.With(from, func(old *beneath.Dir, name string) error {
		return h.With(to, func(new *beneath.Dir,
			newName string) error {
			return old.RenameNoReplace(name, new, newName)
		})
	})
}

// Forget closes a folder that is about to be renamed or removed.
func (h *Handles) Forget(rel string) {
	if d := h.held[rel]; d != nil {
		d.Close()
		delete(h.held, rel)
	}
}
