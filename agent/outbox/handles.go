package outbox

import (
	"errors"
	"io/fs"
	"path"
	"strings"

	"sealpost/internal/beneath"
	"sealpost/internal/words"
)

// handles are folders of a tray, held open for one piece of work by one goroutine. Every file of a tray is reached through
// them, by its path in the tray, and no link on that path is followed: other accounts may swap any name in it meanwhile.
type handles struct {
	tray *beneath.Dir
	t    *tray
	held map[string]*beneath.Dir // folders below it, by path in the tray
}

// maxHeld is how many folders a long piece of work holds at once: see relax.
const maxHeld = 64

// errState means that the state folder of the agent was put into a tray.
var errState = errors.New(words.StateInTray)

// open opens the tray for one piece of work, which ends with close. The disk of a tray that is held cannot be unmounted.
func (t *tray) open() (*handles, error) {
	dir, err := beneath.Open(t.Dir)
	if err != nil {
		return nil, err
	}
	h := &handles{tray: dir, t: t, held: map[string]*beneath.Dir{}}
	if err := t.o.notState(dir); err != nil {
		h.close()
		return nil, err
	}
	return h, nil
}

func (h *handles) close() {
	h.release()
	h.tray.Close()
}

// release closes the folders below the tray.
func (h *handles) release() {
	for _, d := range h.held {
		d.Close()
	}
	clear(h.held)
}

// relax closes the folders when there are many. Long work calls it between two messages.
func (h *handles) relax() {
	if len(h.held) >= maxHeld {
		h.release()
	}
}

// dir opens a folder by its path in the tray; it stays open until the end of the work. "" is the tray itself.
func (h *handles) dir(rel string) (*beneath.Dir, error) {
	if rel == "" || rel == "." {
		return h.tray, nil
	}
	if d := h.held[rel]; d != nil {
		return d, nil
	}
	above, err := h.dir(path.Dir(rel))
	if err != nil {
		return nil, err
	}
	open := above.Dir
	if strings.Contains(rel, "/") && !strings.HasPrefix(rel, outboxPart+"/@") {
		open = above.DirSameMount // the parts and folders of addresses may be mounts of an admin's
	}
	d, err := open(path.Base(rel))
	if err != nil {
		return nil, err
	}
	if err := h.t.o.notState(d); err != nil {
		d.Close()
		return nil, err
	}
	h.held[rel] = d
	return d, nil
}

// at returns the folder in which something lies, and its name there.
func (h *handles) at(rel string) (d *beneath.Dir, name string, err error) {
	d, err = h.dir(path.Dir(rel))
	return d, path.Base(rel), err
}

// with calls do with the folder in which something lies, and its name there.
func (h *handles) with(rel string, do func(d *beneath.Dir, name string) error) error {
	d, name, err := h.at(rel)
	if err != nil {
		return err
	}
	return do(d, name)
}

func (h *handles) lstat(rel string) (info beneath.Info, err error) {
	err = h.with(rel, func(d *beneath.Dir, name string) (err error) {
		info, err = d.Lstat(name)
		return err
	})
	return info, err
}

func (h *handles) exists(rel string) bool {
	_, err := h.lstat(rel)
	return err == nil
}

// isGone reports that nothing lies at a path, and no link or file on the way hides whether anything does.
func (h *handles) isGone(rel string) bool {
	_, err := h.lstat(rel)
	return errors.Is(err, fs.ErrNotExist)
}

func (h *handles) isDir(rel string) bool {
	info, err := h.lstat(rel)
	return err == nil && info.IsDir()
}

func (h *handles) mkdir(rel string) error {
	return h.with(rel, func(d *beneath.Dir, name string) error { return d.Mkdir(name, 0o777) })
}

// remove removes a file or an empty folder.
func (h *handles) remove(rel string) error {
	h.forget(rel)
	return h.with(rel, (*beneath.Dir).Remove)
}

// rename moves something within the tray, never over anything else.
func (h *handles) rename(from, to string) error {
	h.forget(from)
	return h.with(from, func(old *beneath.Dir, name string) error {
		return h.with(to, func(new *beneath.Dir, newName string) error { return old.RenameNoReplace(name, new, newName) })
	})
}

// forget closes a folder that is about to be renamed or removed.
func (h *handles) forget(rel string) {
	if d := h.held[rel]; d != nil {
		d.Close()
		delete(h.held, rel)
	}
}
