package tray

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"time"

	"sealpost/internal/beneath"
	"sealpost/internal/reason"
	"sealpost/internal/trouble"
)

// outbox/, or a folder in it for an address, may be a disk or mount of its own. Nothing can be
// renamed from there into sending/. So an entry is set aside in a hidden folder on its disk, copied
// from there, and then removed.

// AsideName is the name of the hidden folder with the entries that are set aside. It is in outbox/,
// or in a folder of it. Each entry is in a folder of its own, named by its message.
const AsideName = ".sealpost"

// copyStep is the number of bytes that are copied between two looks at the context.
const copyStep = 16 << 20

// timeStep is the largest step in which a disk keeps times.
const timeStep = 2 * time.Second

var errStillOpen = reason.Err("open-while-copied")

// IsOtherDisk reports whether nothing can be renamed between a folder of outbox/ and sending/.
func (h *Handles) IsOtherDisk(dir string) bool {
	from, err := h.Dir(path.Join(OutboxPart, dir))
	if err != nil {
		return false
	}
	to, err := h.Dir(SendingPart)
	if err != nil {
		return false
	}
	isSame, err := from.IsSameDisk(to)
	return err == nil && !isSame
}

// CannotCopy returns the reason that nothing is taken from a folder of outbox/; none: it is taken.
// A program on another machine may keep a file of a share open. Its writes follow a rename, but not
// a copy.
func (h *Handles) CannotCopy(dir string) reason.Reason {
	d, err := h.Dir(path.Join(OutboxPart, dir))
	if err != nil || d.Class() != beneath.Shared || !h.IsOtherDisk(dir) {
		return reason.Reason{}
	}
	return reason.New(reason.OwnShare)
}

// SetAside renames an entry of outbox/ into a hidden folder, which it makes.
func (h *Handles) SetAside(from, folder string) error {
	for _, dir := range []string{path.Dir(folder), folder} {
		if err := h.mkdirPrivate(dir); err != nil {
			return err
		}
	}
	return h.Rename(from, folder+"/"+path.Base(from))
}

// MakeAside makes the hidden folder in a folder of outbox/.
func (h *Handles) MakeAside(folder string) error {
	return h.mkdirPrivate(folder + "/" + AsideName)
}

func (h *Handles) mkdirPrivate(dir string) error {
	err := h.With(dir, func(d *beneath.Dir, name string) error { return d.Mkdir(name, 0o700) })
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// GiveBack renames an entry from its hidden folder back into its folder of outbox/. If another has
// taken its name meanwhile, it gets the name of the hidden folder in addition, or alone.
func (h *Handles) GiveBack(folder, name string) error {
	to := path.Dir(path.Dir(folder))
	err := h.Rename(folder+"/"+name, to+"/"+name)
	if errors.Is(err, fs.ErrExist) {
		err = h.Rename(folder+"/"+name, to+"/"+path.Base(folder)+" "+name)
	}
	if trouble.IsNameRefused(err) {
		err = h.Rename(folder+"/"+name, to+"/"+path.Base(folder))
	}
	if err == nil {
		h.RemoveDir(folder) //nolint:errcheck // an empty folder stays
	}
	return err
}

// RemoveSame removes an entry, or those parts of a folder, that another entry has in the same
// state. It reports whether nothing is left. A file that a program writes is an error.
func (h *Handles) RemoveSame(ctx context.Context, rel, of string) (isGone bool, err error) {
	h.Forget(rel)
	from, name, err := h.At(rel)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist), ignoreMissing(err)
	}
	copied, copiedName, err := h.At(of)
	if err != nil {
		return false, err
	}
	return removeSame(ctx, from, name, copied, copiedName)
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func removeSame(ctx context.Context, from *beneath.Dir, name string, of *beneath.Dir,
	ofName string) (isGone bool, err error) {
	info, err := from.Lstat(name)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist), ignoreMissing(err)
	}
	copied, err := of.Lstat(ofName)
	if err != nil || ctx.Err() != nil {
		return false, errors.Join(ignoreMissing(err), ctx.Err())
	}
	switch {
	case info.IsDir() && copied.IsDir():
		return removeSameFolder(ctx, from, name, of, ofName)
	case !info.IsRegular() || !copied.IsRegular():
		return false, nil
	}
	writer, err := from.Writer(name)
	if err == nil && writer == beneath.HasWriter {
		return false, errStillOpen
	}
	if info, err = from.Lstat(name); err != nil {
		return errors.Is(err, fs.ErrNotExist), ignoreMissing(err)
	}
	if lost := info.ModTime.Sub(copied.ModTime); info.Size != copied.Size || lost < 0 ||
		lost >= timeStep {
		return false, nil
	}
	return true, from.Remove(name)
}

func removeSameFolder(ctx context.Context, from *beneath.Dir, name string, of *beneath.Dir,
	ofName string) (isGone bool, err error) {
	source, err := from.Dir(name)
	if err != nil {
		return false, err
	}
	defer source.Close()
	copied, err := of.Dir(ofName)
	if err != nil {
		return false, err
	}
	defer copied.Close()
	isGone = true
	err = source.Each(func(entries []fs.DirEntry) error {
		for _, e := range entries {
			isOneGone, err := removeSame(ctx, source, e.Name(), copied, e.Name())
			if err != nil {
				return err
			}
			isGone = isGone && isOneGone
		}
		return nil
	})
	if err != nil || !isGone {
		return false, err
	}
	source.Close() // some systems cannot remove an open folder
	err = from.RemoveDir(name)
	if isEmpty, looked := isEmpty(from, name); err != nil && looked == nil && !isEmpty {
		return false, nil // something has just come
	}
	return err == nil, err
}

func isEmpty(above *beneath.Dir, name string) (bool, error) {
	d, err := above.Dir(name)
	if err != nil {
		return false, err
	}
	defer d.Close()
	return d.IsEmpty()
}

// copyContent copies a file's content in steps, until the context ends.
func (h *Handles) copyContent(ctx context.Context, dst, src *os.File) error {
	for {
		n, err := io.CopyN(dst, src, copyStep)
		h.Copied.Add(n)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err = errors.Join(err, ctx.Err()); err != nil {
			return err
		}
	}
}
