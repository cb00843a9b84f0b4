package tray

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"strings"

	"sealpost/internal/beneath"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// CopyName returns the name of an unfinished copy. The finder does not take it.
func CopyName() string { return copyPrefix + string(id.Random128[id.UID]()) + copySuffix }

// PrivateName returns the name of the folder in which a message's content is removed. It has the
// form of CopyName.
func PrivateName(uid id.UID) string { return copyPrefix + string(uid) + copySuffix }

// MakePrivate makes a folder that no other account can use. One that is left of a crash is taken.
func (h *Handles) MakePrivate(rel string) error {
	if err := h.mkdirPrivate(rel); err != nil {
		return err
	}
	return h.IsPrivate(rel)
}

// IsPrivate returns an error unless a folder is of this account, and closed to all others.
func (h *Handles) IsPrivate(rel string) error {
	d, err := h.Dir(rel)
	if err != nil {
		return err
	}
	info, err := d.Info()
	if err == nil && (!info.IsOurs() || info.IsShared()) {
		err = reason.Err("folder-not-private")
	}
	return err
}

const (
	copyPrefix = "~$"
	copySuffix = ".tmp"
)

// maxLevels bounds the depth of folders that are copied. Three handles are open for each level.
const maxLevels = 512

// isCopyName reports whether a name has the form of CopyName.
func isCopyName(name string) bool {
	random, begins := strings.CutPrefix(name, copyPrefix)
	random, ends := strings.CutSuffix(random, copySuffix)
	_, err := id.Parse128[id.UID](random)
	return begins && ends && err == nil
}

// IsCopy reports whether the entry of a folder of the tray is an unfinished copy of sealpost.
func (h *Handles) IsCopy(part, name string) bool {
	info, err := h.Lstat(part + "/" + name)
	return isCopyName(name) && err == nil && info.IsOurs()
}

// DropCopies removes the copies in outbox/ and sending/ that the last run did not finish. It is
// called before any copy is made.
func (h *Handles) DropCopies() {
	h.dropCopiesIn(SendingPart)
	dir, err := h.Dir(OutboxPart)
	if err != nil {
		return
	}
	dir.Each(func(entries []fs.DirEntry) error { //nolint:errcheck // the sweep reports it
		for _, e := range entries {
			if e.IsDir() && IsAddress(e.Name()) {
				h.dropCopiesIn(OutboxPart + "/" + e.Name())
			}
		}
		return nil
	})
}

func (h *Handles) dropCopiesIn(folder string) {
	dir, err := h.Dir(folder)
	if err != nil {
		return
	}
	var left []string
	dir.Each(func(entries []fs.DirEntry) error { //nolint:errcheck // the same
		for _, e := range entries {
			if info, err := dir.Lstat(e.Name()); isCopyName(e.Name()) && err == nil &&
				info.IsOurs() {
				left = append(left, e.Name())
			}
		}
		return nil
	})
	for _, name := range left {
		if err := dir.RemoveAll(name); err != nil {
			h.t.Log.Warn("an unfinished copy stays", "folder", folder, "error", err)
		}
	}
	h.Forget(folder)
}

// Copy copies a file, or a folder with all its entries, unless mayDrop refuses one of them. Times
// and executable bits stay.
func (h *Handles) Copy(ctx context.Context, from *beneath.Dir, name string, to *beneath.Dir,
	newName string) error {
	return h.copyEntry(ctx, "", from, name, to, newName)
}

// CopyBelow copies a file of a folder to the same path below another folder. It makes the folders
// on the way.
func (h *Handles) CopyBelow(ctx context.Context, from, to, rel string) error {
	if err := h.Root.MkdirAll(path.Dir(to+"/"+rel), 0o777); err != nil {
		return err
	}
	src, name, err := h.At(from + "/" + rel)
	if err != nil {
		return err
	}
	dst, newName, err := h.At(to + "/" + rel)
	if err != nil {
		return err
	}
	return h.copyFile(ctx, rel, src, name, dst, newName)
}

// copyEntry copies an entry. rel is its path below the folder that is copied.
func (h *Handles) copyEntry(ctx context.Context, rel string, from *beneath.Dir, name string,
	to *beneath.Dir, newName string) error {
	info, err := from.Lstat(name)
	if err == nil {
		err = ctx.Err()
	}
	switch {
	case err != nil:
		return err
	case info.IsDir():
		return h.copyFolder(ctx, rel, from, info, to, newName)
	}
	return h.copyFile(ctx, rel, from, name, to, newName)
}

func (h *Handles) copyFolder(ctx context.Context, rel string, from *beneath.Dir, info beneath.Info,
	to *beneath.Dir, newName string) error {
	if len(rel) > MaxPath || strings.Count(rel, "/") >= maxLevels {
		return cannotBeSent(rel[:min(80, len(rel))]+"…", reason.New("too-many-levels"))
	}
	src, err := from.Dir(info.Name)
	if err != nil {
		return err
	}
	defer src.Close()
	if err := to.Mkdir(newName, 0o777); err != nil {
		return err
	}
	dst, err := to.Dir(newName)
	if err != nil {
		return err
	}
	defer dst.Close()
	err = src.Each(func(entries []fs.DirEntry) error {
		for _, e := range entries {
			if err := h.copyEntry(ctx, Under(rel, e.Name()), src, e.Name(), dst,
				e.Name()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return to.Chtimes(newName, info.ModTime) // at last: writing into it changes it
}

func (h *Handles) copyFile(ctx context.Context, rel string, from *beneath.Dir, name string,
	to *beneath.Dir, newName string) error {
	src, info, err := from.Open(name)
	if err != nil {
		return err
	}
	defer src.Close()
	if err := h.MayDropInside(from, rel, info); err != nil {
		return err
	}
	dst, err := to.Create(newName, info.Mode.Perm()|0o600)
	if err != nil {
		return err
	}
	err = h.copyContent(ctx, dst, src)
	if err = errors.Join(err, dst.Close()); err != nil {
		return err
	}
	return to.Chtimes(newName, info.ModTime)
}
