package outbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sync/atomic"

	"sealpost/agent/ledger"
	"sealpost/agent/tray"
	"sealpost/internal/fault"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// A file of a folder with a disk of its own is copied into sending/ (decision 0043). It is set
// aside on its disk, and the copy is made in sending/ under a name of ours and synced. The copy
// gets its place, and both disks are synced. Then a commit writes the source of the copy into the
// row, and the original is removed where it equals the copy. After a crash the row and the two
// places tell the next step. No message is handed on while its original is there.

// asideAt returns the path of the hidden folder that holds the original of a message.
func asideAt(m ledger.Outgoing) string {
	return path.Join(tray.OutboxPart, m.Dir, tray.AsideName, string(m.ID))
}

// copying is a claimed file that is copied from another disk, or waits for it.
type copying struct {
	message id.Message
	size    int64
	done    *atomic.Int64 // nil: it waits
	why     reason.Reason // it cannot be copied just now, and is set aside
}

// isApart reports whether the original of a claimed message lies on another disk than sending/.
func (h *handles) isApart(m ledger.Outgoing) bool {
	if m.Follows != "" {
		return false
	}
	if h.Exists(asideAt(m) + "/" + m.Name) {
		return true
	}
	if !h.IsOtherDisk(m.Dir) {
		return false
	}
	source, err := h.observe(droppedAt(m))
	return err == nil && same(source, m.Source)
}

// bring copies claimed messages from another disk into their folders in sending/, and removes the
// originals.
func (v *moving) bring(ctx context.Context, list []ledger.Outgoing) error {
	h := v.h
	temps := map[int64]string{}
	defer func() {
		for _, temp := range temps {
			h.dropCopy(temp)
		}
	}()
	var copied []ledger.Outgoing
	for _, m := range list {
		temp, err := h.copyApart(ctx, m)
		if temp != "" {
			temps[m.Seq] = temp
		}
		if v.isGood(m, err) {
			copied = append(copied, m)
		}
	}
	copied = v.allGood(copied, h.syncCopies(copied, temps))
	var placed []ledger.Outgoing
	for _, m := range copied {
		if v.isGood(m, h.placeCopy(m, temps[m.Seq])) {
			delete(temps, m.Seq)
			placed = append(placed, m)
		}
	}
	placed = v.allGood(placed, h.syncPlaced(placed))
	fault.Point("outbox-brought")
	placed, err := v.adoptCopies(ctx, placed)
	if err != nil {
		return err
	}
	fault.Point("outbox-recorded")
	for _, m := range placed {
		if v.isGood(m, h.removeAside(ctx, m, asideAt(m), m.Name, sourceAt(m))) {
			v.moved = append(v.moved, m)
		}
	}
	fault.Point("outbox-cleared")
	return nil
}

// copyApart sets the original of a message aside, and copies it to a name of ours in sending/. It
// returns no name if the copy has its place, from before a crash.
func (h *handles) copyApart(ctx context.Context, m ledger.Outgoing) (temp string, err error) {
	original := asideAt(m) + "/" + m.Name
	if !h.Exists(original) {
		if now, err := h.observe(sourceAt(m)); err == nil && same(now, m.Source) {
			return "", nil
		}
		now, err := h.observe(droppedAt(m))
		if err == nil && !same(now, m.Source) {
			err = tray.ErrChanged
		}
		if err == nil {
			err = h.hasRoom(m.Source.Size) // until then users see their file
		}
		if err == nil {
			err = h.SetAside(droppedAt(m), asideAt(m))
		}
		if err != nil {
			return "", err
		}
		fault.Point("outbox-aside")
	}
	if now, err := h.observe(sourceAt(m)); err == nil && isSameContent(now, m.Source) {
		return "", nil
	}
	if err := h.Root.RemoveAll(sourceAt(m)); err != nil {
		return "", err
	}
	if err := h.hasRoom(m.Source.Size); err != nil {
		return "", err
	}
	h.Copied.Store(0)
	h.t.setCopying(m, &h.Copied, reason.Reason{})
	from, name, err := h.At(original)
	if err != nil {
		return "", err
	}
	to, err := h.Dir(tray.SendingPart)
	if err != nil {
		return "", err
	}
	temp = tray.CopyName()
	err = h.Copy(ctx, from, name, to, temp)
	fault.Point("outbox-copied-over")
	return tray.SendingPart + "/" + temp, err
}

// hasRoom returns an error if a copy of this size does not fit on the tray's disk.
func (h *handles) hasRoom(size int64) error {
	if free, err := h.Root.Free(); err == nil && free-size < copyReserve {
		return reason.Err("rest-no-room", "free", reason.Size(free), "need",
			reason.Size(size+copyReserve))
	}
	return nil
}

// dropCopy removes an unfinished copy. If that fails, the next start removes it.
func (h *handles) dropCopy(temp string) {
	h.Forget(temp)
	if err := h.Root.RemoveAll(temp); err != nil {
		h.t.log.Warn("an unfinished copy stays until the next start", "error", err)
	}
}

// syncCopies makes the content of copies durable.
func (h *handles) syncCopies(list []ledger.Outgoing, temps map[int64]string) error {
	var files []string
	for _, m := range list {
		switch temp := temps[m.Seq]; {
		case temp == "":
		case !m.Folder:
			files = append(files, temp)
		default:
			if err := h.Root.SyncTree(temp); err != nil {
				return err
			}
		}
	}
	return h.Root.SyncGroup(files, nil)
}

// placeCopy gives a copy its place, if the original has not changed since it was claimed.
// Otherwise it gives the original back.
func (h *handles) placeCopy(m ledger.Outgoing, temp string) error {
	if temp == "" {
		return nil
	}
	h.Forget(temp)
	now, err := h.observe(asideAt(m) + "/" + m.Name)
	if err == nil && m.State != ledger.Failed && !isSameContent(now, m.Source) {
		h.Release() // some systems rename no folder of which one is open
		err = errors.Join(tray.ErrChanged, h.GiveBack(asideAt(m), m.Name))
	}
	if err != nil {
		return err
	}
	return h.Rename(temp, sourceAt(m))
}

// syncPlaced makes the places of copies durable, and those of their originals.
func (h *handles) syncPlaced(list []ledger.Outgoing) error {
	dirs := []string{tray.SendingPart}
	others := map[string]bool{}
	for part := range byFolder(list) {
		dirs = append(dirs, folderAt(part[0]))
		for _, m := range part {
			others[path.Join(tray.OutboxPart, m.Dir)] = true
			others[path.Dir(asideAt(m))] = true
			others[asideAt(m)] = true
		}
	}
	if err := h.Root.SyncGroup(nil, dirs); err != nil {
		return err
	}
	for dir := range others {
		d, err := h.Dir(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue // the original is removed already
		}
		if err == nil {
			err = d.Sync()
		}
		if err != nil {
			return err
		}
		h.Relax()
	}
	return nil
}

// adoptCopies writes the sources of copies into the rows of their messages, in one commit. On a
// disk that keeps times in larger steps a message gets another uid with it, and is not returned:
// the next sweep continues.
func (v *moving) adoptCopies(ctx context.Context,
	list []ledger.Outgoing) (adopted []ledger.Outgoing, err error) {
	was := map[id.Message]id.UID{}
	var all []ledger.Outgoing
	for _, m := range list {
		now, err := v.h.observe(sourceAt(m))
		if !v.isGood(m, err) {
			continue
		}
		was[m.ID] = m.UID
		m.Source = now
		if m.State == ledger.Claimed { // a recalled one keeps its identity
			v.t.o.identify(&m)
		}
		all = append(all, m)
		if m.UID == was[m.ID] {
			adopted = append(adopted, m)
		} else {
			v.isUnfinished = true
		}
	}
	if len(all) == 0 {
		return nil, nil
	}
	return adopted, v.t.ledger.Update(ctx, func(tx *ledger.Tx) error {
		for _, m := range all {
			if err := tx.Resource(was[m.ID], m); err != nil {
				return err
			}
		}
		return nil
	})
}

// removeAside removes the parts of an entry in a hidden folder that equal its copy, and gives the
// rest back. That has come, or was changed, after the claim, and is taken as another message. The
// rest of a failed message is never taken: it stays for tidyOne.
func (h *handles) removeAside(ctx context.Context, m ledger.Outgoing, folder, name,
	content string) error {
	isGone, err := h.RemoveSame(ctx, folder+"/"+name, content)
	h.Release() // some systems rename or remove no folder of which one is open
	switch {
	case err != nil:
		return err
	case !isGone && m.State == ledger.Failed:
		return nil
	case !isGone:
		h.t.log.Warn("changed while it was taken; the rest is taken by itself")
		return h.GiveBack(folder, name)
	}
	if err := h.RemoveDir(folder); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// maxRests bounds the names that an entry may get in the folder of a failed message.
const maxRests = 9

// fileAside copies an entry that is set aside into the failed message's folder, and removes the
// original. It copies none that is there already, and replaces no other.
func (h *handles) fileAside(ctx context.Context, m ledger.Outgoing, folder, name string) error {
	original, hasCopied := folder+"/"+name, false
	for n := 1; n <= maxRests; n++ {
		place := placeAt(m) + "/" + name
		if n > 1 {
			place = fmt.Sprintf("%s/%d %s", placeAt(m), n, name)
		}
		if !hasCopied && !h.Exists(place) {
			if err := h.copyFailed(ctx, m, original, place); err != nil {
				return err
			}
			hasCopied = true
		}
		isGone, err := h.RemoveSame(ctx, original, place)
		h.Release() // some systems rename or remove no folder of which one is open
		if err != nil || isGone {
			return err
		}
	}
	return tray.ErrChanged
}

// copyFailed copies an entry from another disk durably to a place in the folder of a failed
// message.
func (h *handles) copyFailed(ctx context.Context, m ledger.Outgoing, rel, place string) error {
	src, name, err := h.At(rel)
	if err != nil {
		return err
	}
	to, err := h.Dir(tray.SendingPart)
	if err == nil {
		err = h.hasRoom(m.Source.Size)
	}
	if err != nil {
		return err
	}
	temp := tray.CopyName()
	defer h.dropCopy(tray.SendingPart + "/" + temp)
	err = h.Copy(ctx, src, name, to, temp)
	switch {
	case err != nil:
	case h.IsDir(tray.SendingPart + "/" + temp):
		err = to.SyncTree(temp)
	default:
		err = to.SyncFile(temp)
	}
	if err == nil {
		err = h.Root.MkdirAll(path.Dir(place), 0o777)
	}
	if err == nil {
		err = h.Rename(tray.SendingPart+"/"+temp, place)
	}
	if err != nil {
		return err
	}
	h.t.log.Warn("a file of a failed message was set aside until now", "message", m.ID,
		"place", place)
	return h.Root.SyncGroup(nil, []string{tray.SendingPart, tray.FailedPart, path.Dir(place)})
}

// setCopying notes the copy of a message from another disk. The next setStuck forgets it.
func (t *box) setCopying(m ledger.Outgoing, done *atomic.Int64, why reason.Reason) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.copies[stuckKey(m)] = &copying{m.ID, m.Source.Size, done, why}
}

// canTake reports whether the entries of a folder of outbox/ can be taken. From a disk of its own
// they are copied.
func (t *box) canTake(ctx context.Context, h *handles, dir string,
	notes map[string]reason.Reason) bool {
	part := path.Join(tray.OutboxPart, dir)
	if why := h.CannotCopy(dir); !why.IsZero() {
		notes[part] = why
		return false
	}
	// otherwise the next sweep continues
	return t.knowDisk(ctx, h, dir) && t.tidyAside(ctx, h, dir) == nil &&
		t.guardRecalled(ctx, h, dir) == nil
}

// tidyAside gives back the entries that are set aside in a folder of outbox/ without a claim. The
// ledger was lost, or their disk was away. It removes those that were copied. Those of failed
// messages go to failed/, since a recalled file must not be sent.
func (t *box) tidyAside(ctx context.Context, h *handles, dir string) error {
	part := path.Join(tray.OutboxPart, dir, tray.AsideName)
	top, err := h.Dir(part)
	if err != nil {
		return nil // there are none
	}
	return top.Each(func(entries []fs.DirEntry) error {
		for _, e := range entries {
			if e.Name() == diskNote {
				continue
			}
			if err := t.tidyOne(ctx, h, part+"/"+e.Name()); err != nil {
				return err
			}
			h.Relax()
		}
		return nil
	})
}

// tidyOne gives the content of one hidden folder back, or removes it.
func (t *box) tidyOne(ctx context.Context, h *handles, folder string) error {
	var m ledger.Outgoing
	err := t.o.view(ctx, func(tx *ledger.Tx) (err error) {
		m, err = tx.Message(path.Base(folder))
		return err
	})
	isKnown := err == nil && m.Tray == t.Name
	switch {
	case err != nil && !errors.Is(err, ledger.ErrNotFound):
		return err
	case isKnown && (m.State == ledger.Claimed || m.State == ledger.Failed && !m.Filed):
		return nil // its claim, or its filing, continues
	}
	d, err := h.Dir(folder)
	if err != nil {
		return nil
	}
	var names []string
	d.Each(func(entries []fs.DirEntry) error { //nolint:errcheck // the next sweep looks again
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return nil
	})
	content := sourceAt(m)
	if m.Filed {
		content = contentAt(m)
	}
	for _, name := range names {
		switch {
		case isKnown && m.State == ledger.Failed:
			err = h.fileAside(ctx, m, folder, name)
		case isKnown && m.State != ledger.Withdrawn && name == m.Name:
			err = h.removeAside(ctx, m, folder, name, content)
		default:
			err = h.GiveBack(folder, name)
		}
		if err != nil {
			t.said.Warn(t.log, "set aside and not given back yet", err, "folder", folder)
			return ctx.Err()
		}
	}
	h.RemoveDir(folder) //nolint:errcheck // it may hold something again
	return nil
}
