package outbox

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"time"

	"sealpost/agent/ledger"
	"sealpost/agent/tray"
	"sealpost/internal/beneath"
	"sealpost/internal/fault"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

const (
	// copyReserve is the free space that copies leave on the tray's disk.
	copyReserve = 256 << 20
	// namedMost bounds the files that a reason names.
	namedMost = 3
)

// remainder has the new and changed files of a delivered message, while they are copied.
type remainder struct {
	of      ledger.Outgoing
	content ledger.Source // of the message as it is now
	sent    []id.UID      // the messages with its content so far
	temp    string        // the folder of the copy, by its path in the tray
	n       int           // of files, and of folders with nothing in them
	names   []string      // of some of them
}

func (r *remainder) add(name string) {
	if r.n++; len(r.names) < namedMost {
		r.names = append(r.names, name)
	}
}

// sendRest sends the new and changed files of a delivered message as another message. It waits
// until nothing changes there any more. A crash before the row is written leaves a copy, which the
// next start removes. One before the copy has its place leaves a row, which is withdrawn.
func (f *finder) sendRest(ctx context.Context, m ledger.Outgoing) error {
	t := f.t
	h, err := t.open()
	if err != nil {
		return nil // the sweep reports it
	}
	defer h.Close()
	content, isFolder, err := h.finished(contentAt(m), tray.Settling{File: t.Settle,
		Folder: t.FolderSettle}, time.Now())
	var wait *tray.Later
	switch {
	case errors.As(err, &wait):
		return t.tellRest(ctx, m, "", reason.New(reason.RestWaits))
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return t.tellRest(ctx, m, "", reason.New("rest-not-sent", "why", tray.Plain(err)))
	case isFolder != m.Folder || isSameContent(content, m.Source):
		f.later.setSent(m, content)
		return nil
	}
	before, isSent, err := t.followUps(ctx, m, content)
	switch {
	case err != nil:
		return err
	case isSent:
		f.later.setSent(m, content)
		return nil
	case slices.ContainsFunc(before, func(m ledger.Outgoing) bool {
		return m.State == ledger.Claimed || m.State == ledger.Taken
	}):
		return nil // its list of entries is not known yet
	case t.KeepsRest:
		f.later.setSent(m, content)
		return t.tellRest(ctx, m, "", reason.New("rest-kept"))
	}
	r := remainder{of: m, content: content, temp: tray.SendingPart + "/" + tray.CopyName()}
	for _, b := range append(before, m) {
		r.sent = append(r.sent, b.UID)
	}
	err = h.copyRest(ctx, &r)
	if err == nil && r.n > 0 {
		return f.claimRest(ctx, h, r)
	}
	h.dropCopy(r.temp)
	switch {
	case err == nil:
		f.later.setSent(m, content)
		return nil
	case errors.Is(err, errLedger):
		return err
	case ctx.Err() != nil, errors.Is(err, fs.ErrNotExist), errors.Is(err, tray.ErrChanged):
		return nil // the next sweep looks again
	}
	return t.tellRest(ctx, m, "", reason.New("rest-not-sent", "why", tray.Plain(err)))
}

// followUps lists the messages that follow one. It reports whether one of them covers a state of
// the content.
func (t *box) followUps(ctx context.Context, m ledger.Outgoing,
	content ledger.Source) (list []ledger.Outgoing, isSent bool, err error) {
	err = t.o.view(ctx, func(tx *ledger.Tx) (err error) {
		list, err = tx.FollowUps(m.ID)
		return err
	})
	return list, slices.ContainsFunc(list, func(f ledger.Outgoing) bool {
		return isSameContent(content, f.Covers)
	}), err
}

// copyRest copies the new and changed files of a message, durably. The message must be the same
// afterwards.
func (h *handles) copyRest(ctx context.Context, r *remainder) error {
	if err := h.Mkdir(r.temp); err != nil {
		return err
	}
	err := h.copyNew(ctx, r)
	h.Release() // some systems rename no folder of which one is open
	if err != nil || r.n == 0 {
		return err
	}
	if r.of.Dir != "" {
		if err := h.WriteNote(r.temp+"/"+addressNote, []byte(r.of.Dir+"\n")); err != nil {
			return err
		}
	}
	now, err := h.observe(contentAt(r.of))
	if err == nil && !same(now, r.content) {
		err = tray.ErrChanged
	}
	if err != nil {
		return err
	}
	return h.Root.SyncTree(r.temp)
}

func (h *handles) copyNew(ctx context.Context, r *remainder) error {
	if !r.of.Folder {
		r.add(r.of.Name)
		return h.copyOne(ctx, r, r.of.Name, r.content.Size)
	}
	d, name, err := h.At(contentAt(r.of))
	if err != nil {
		return err
	}
	var page []ledger.TreeEntry
	err = tray.Walk(d, name, func(_ *beneath.Dir, rel string, info beneath.Info) error {
		page = append(page, ledger.TreeEntry{Path: path.Join(name, rel), Dir: info.IsDir(),
			Source: sourceOf(info)})
		if len(page) < treePage {
			return nil
		}
		err := h.copyPage(ctx, r, page)
		page = page[:0]
		return err
	})
	if err != nil {
		return err
	}
	return h.copyPage(ctx, r, page)
}

// copyPage copies those entries of a folder that were not sent as they are.
func (h *handles) copyPage(ctx context.Context, r *remainder, page []ledger.TreeEntry) error {
	paths := make([]string, len(page))
	for i, e := range page {
		paths[i] = e.Path
	}
	sent := map[string][]ledger.TreeEntry{}
	err := h.t.o.view(ctx, func(tx *ledger.Tx) error {
		list, err := tx.TreeOf(r.sent, paths)
		for _, e := range list {
			sent[e.Path] = append(sent[e.Path], e)
		}
		return err
	})
	for _, e := range page {
		if err != nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		if slices.ContainsFunc(sent[e.Path], func(s ledger.TreeEntry) bool {
			return s.Dir == e.Dir && (e.Dir || s.Source.Size == e.Source.Size &&
				s.Source.ModTime == e.Source.ModTime)
		}) {
			continue
		}
		r.add(path.Base(e.Path))
		if e.Dir {
			err = h.Root.MkdirAll(r.temp+"/"+e.Path, 0o777)
		} else {
			err = h.copyOne(ctx, r, e.Path, e.Source.Size)
		}
	}
	return err
}

// copyOne copies one file, by its path in the message's folder, if there is room for it.
func (h *handles) copyOne(ctx context.Context, r *remainder, name string, size int64) error {
	if err := h.hasRoom(size); err != nil {
		return err
	}
	defer h.Relax()
	return h.CopyBelow(ctx, placeAt(r.of), r.temp, name)
}

// claimRest writes the row of a copy, gives the copy its place, and hands the message on.
func (f *finder) claimRest(ctx context.Context, h *handles, r remainder) error {
	t := f.t
	source, err := h.observe(r.temp + "/" + r.of.Name)
	if err != nil {
		h.dropCopy(r.temp)
		return nil // the next sweep looks again
	}
	slices.Sort(r.names)
	fault.Point("outbox-copied")
	now := time.Now().UTC().Truncate(time.Millisecond)
	list := []ledger.Outgoing{{Tray: t.Name, Kind: t.Kind, Name: r.of.Name, Folder: r.of.Folder,
		Source: source, Address: r.of.Address, Dir: r.of.Dir, Claimed: now, Due: now.Add(t.Hold),
		Follows: r.of.ID, Covers: r.content}}
	err = t.claimMessages(ctx, list, nil, func(tx *ledger.Tx) error {
		why := reason.New("rest-sent", "n", r.n, "names", r.names,
			"more", orNone(r.n-len(r.names)), "message", list[0].ID)
		return errors.Join(tx.Follow(list[0]), tx.Explain(r.of.UID, why))
	})
	if err != nil {
		return err
	}
	fault.Point("outbox-follows")
	t.log.Warn("changed after it was sent", "message", r.of.ID, "entries", r.n, "follow-up",
		list[0].ID)
	h.Release()
	if err := h.MoveFolder(r.temp, folderAt(list[0])); err != nil {
		t.log.Warn("claimed but not moved yet", "message", list[0].ID, "error", err)
		t.o.desk.release(list...)
		h.dropCopy(r.temp)
		return nil // the next sweep withdraws it
	}
	f.later.setSent(r.of, r.content)
	return f.secure(ctx, list)
}

// tellRest replaces the reason of a delivered message if its code is from; an empty from matches
// any.
func (t *box) tellRest(ctx context.Context, m ledger.Outgoing, from reason.Code,
	why reason.Reason) error {
	return t.ledger.Update(ctx, func(tx *ledger.Tx) error {
		now, err := tx.Message(string(m.UID))
		if err != nil || now.Reason == why || from != "" && now.Reason.Code != from {
			return err
		}
		if !why.IsZero() {
			t.log.Warn("changed after it was sent", "message", m.ID, "reason", why)
		}
		return tx.Explain(m.UID, why)
	})
}
