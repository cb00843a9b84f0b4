package tray

import (
	"errors"
	"io/fs"
	"path"
	"strings"

	"sealpost/internal/beneath"
	"sealpost/internal/reason"
)

// Handles are folders of a tray, held open for one piece of work by one goroutine. Every file of a
// tray is reached through them, by its path in the tray, and no link on that path is followed:
// other accounts may swap any name in it meanwhile.
type Handles struct {
	Root *beneath.Dir // the tray itself
	t    *Tray
	held map[string]*beneath.Dir // folders below it, by path in the tray
}

// maxHeld is how many folders a long piece of work holds at once: see Relax.
const maxHeld = 64

// ErrState means that the state folder of the agent was put into a tray.
var ErrState = reason.Err("state-in-tray")

// Open opens the tray for one piece of work, which ends with Close. The disk of a tray that is held
// cannot be unmounted.
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

// Relax closes the folders when there are many. Long work calls it between two messages.
func (h *Handles) Relax() {
	if len(h.held) >= maxHeld {
		h.Release()
	}
}

// Dir opens a folder by its path in the tray; it stays open until the end of the work. "" is the
// tray itself.
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

// At returns the folder in which something lies, and its name there.
func (h *Handles) At(rel string) (d *beneath.Dir, name string, err error) {
	d, err = h.Dir(path.Dir(rel))
	return d, path.Base(rel), err
}

// With calls do with the folder in which something lies, and its name there.
func (h *Handles) With(rel string, do func(d *beneath.Dir, name string) error) error {
	d, name, err := h.At(rel)
	if err != nil {
		return err
	}
	return do(d, name)
}

// Lstat looks at the entry at a path, and follows no link.
func (h *Handles) Lstat(rel string) (info beneath.Info, err error) {
	err = h.With(rel, func(d *beneath.Dir, name string) (err error) {
		info, err = d.Lstat(name)
		return err
	})
	return info, err
}

// Exists reports whether anything lies at a path.
func (h *Handles) Exists(rel string) bool {
	_, err := h.Lstat(rel)
	return err == nil
}

// IsGone reports that nothing lies at a path, and no link or file on the way hides whether anything
// does.
func (h *Handles) IsGone(rel string) bool {
	_, err := h.Lstat(rel)
	return errors.Is(err, fs.ErrNotExist)
}

// IsDir reports whether a folder lies at a path.
func (h *Handles) IsDir(rel string) bool {
	info, err := h.Lstat(rel)
	return err == nil && info.IsDir()
}

// Mkdir makes a folder.
func (h *Handles) Mkdir(rel string) error {
	return h.With(rel, func(d *beneath.Dir, name string) error { return d.Mkdir(name, 0o777) })
}

// RemoveDir removes an empty folder, and nothing else that lies in its place.
func (h *Handles) RemoveDir(rel string) error {
	h.Forget(rel)
	return h.With(rel, (*beneath.Dir).RemoveDir)
}

// Remove removes a file or an empty folder.
func (h *Handles) Remove(rel string) error {
	h.Forget(rel)
	return h.With(rel, (*beneath.Dir).Remove)
}

// Rename moves something within the tray, never over anything else.
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
