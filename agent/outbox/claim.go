package outbox

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"sync"
	"syscall"
	"time"

	"sealpost/agent/ledger"
	"sealpost/agent/tray"
	"sealpost/internal/beneath"
	"sealpost/internal/durable"
	"sealpost/internal/fault"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// ownSyncSize is the size in bytes from which a claimed file is synced by itself. Its sync may
// write the whole content to the disk, and must not delay other claims.
const ownSyncSize = 16 << 20

// claim claims a group of finished files in the background. One commit fixes uid, message id and
// source of each; then come the renames into sending/, one sync of all, and a second look at each
// source. A source that has changed stays claimed, and recoverClaims continues with it.
//
// Meanwhile the finder looks for the next group, and skips the files that are being claimed.
func (f *finder) claim(ctx context.Context, group []found) {
	if len(group) == 0 {
		return
	}
	f.claims += len(group)
	f.claiming.add(group)
	f.claimers.Go(func() error {
		messages, err := f.t.claimRows(ctx, group)
		if err != nil {
			f.claiming.remove(group)
			return ignoreCancel(ctx, err)
		}
		fault.Point("outbox-claimed")
		return f.take(ctx, messages, group)
	})
}

// take moves messages with written rows, makes them durable and hands them to the desk. Small files
// are synced together, large ones and folders each by itself. It releases the messages that stay
// claimed.
func (f *finder) take(ctx context.Context, messages []ledger.Outgoing, group []found) error {
	v, err := f.t.moveAll(ctx, messages)
	f.claiming.remove(group)
	f.t.o.desk.release(without(without(messages, v.moved), v.large)...)
	if v.isUnfinished {
		poke(f.recheckClaims)
	}
	for _, m := range v.large {
		f.inBulk(m, func() error { return f.bringLarge(ctx, m) })
	}
	var small []ledger.Outgoing
	for _, m := range v.moved {
		if isBulk(m) {
			f.inBulk(m, func() error { return f.secure(ctx, []ledger.Outgoing{m}) })
		} else {
			small = append(small, m)
		}
	}
	return errors.Join(ignoreCancel(ctx, err), f.secure(ctx, small))
}

// isBulk reports whether the content of a message is copied and synced by itself.
func isBulk(m ledger.Outgoing) bool { return m.Folder || m.Source.Size >= ownSyncSize }

// inBulk works on the content of a large message. Without a free worker the message stays claimed,
// and the next sweep takes it.
func (f *finder) inBulk(m ledger.Outgoing, work func() error) {
	if !f.bulkWork.TryGo(work) {
		f.t.o.desk.release(m)
		poke(f.recheckClaims)
	}
}

// bringLarge copies a message from another disk, makes it durable and hands it to the desk.
func (f *finder) bringLarge(ctx context.Context, m ledger.Outgoing) error {
	h, err := f.t.open()
	v := f.t.newMoving(h)
	defer v.log()
	if err == nil {
		defer h.Close()
		err = v.bring(ctx, []ledger.Outgoing{m})
	}
	if v.isUnfinished {
		poke(f.recheckClaims)
	}
	if len(v.moved) == 0 {
		f.t.o.desk.release(m)
		return ignoreCancel(ctx, err) // the sweep reports a tray that cannot be opened
	}
	return f.secure(ctx, v.moved)
}

// secure makes messages durable and hands them to the desk. It releases those that stay claimed,
// and requests an early sweep if a source has changed since its claim.
func (f *finder) secure(ctx context.Context, messages []ledger.Outgoing) error {
	whole, changed, err := f.t.secure(ctx, messages)
	f.t.o.desk.release(without(messages, whole)...)
	if changed {
		poke(f.recheckClaims)
	}
	return ignoreCancel(ctx, errors.Join(err, f.t.handOn(ctx, whole)))
}

// without returns the messages of a list that are not in another.
func without(list, others []ledger.Outgoing) (rest []ledger.Outgoing) {
	in := make(map[id.UID]bool, len(others))
	for _, m := range others {
		in[m.UID] = true
	}
	for _, m := range list {
		if !in[m.UID] {
			rest = append(rest, m)
		}
	}
	return rest
}

// claiming holds the paths in outbox/ of the files that are being claimed and may still lie there.
type claiming struct {
	mu    sync.Mutex // guards names
	names map[string]bool
}

func (c *claiming) add(group []found) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.names == nil {
		c.names = map[string]bool{}
	}
	for _, f := range group {
		c.names[f.rel()] = true
	}
}

func (c *claiming) remove(group []found) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range group {
		delete(c.names, f.rel())
	}
}

func (c *claiming) has(rel string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.names[rel]
}

// claimRows writes the rows of a group's messages in one commit. The desk reserves them before
// another reader can see them.
func (t *box) claimRows(ctx context.Context, group []found) ([]ledger.Outgoing, error) {
	messages := make([]ledger.Outgoing, len(group))
	now := time.Now().UTC().Truncate(time.Millisecond)
	for i, f := range group {
		messages[i] = ledger.Outgoing{Tray: t.Name, Kind: t.Kind, Name: f.name, Folder: f.folder,
			Source: f.source, Address: f.address, Dir: f.dir, Claimed: now, Due: now.Add(t.Hold)}
	}
	sizes := arrange(messages)
	err := t.claimMessages(ctx, messages, sizes, func(*ledger.Tx) error { return nil })
	if err == nil && t.LeavesRepeats {
		for _, m := range messages {
			t.o.repeats.claim(m)
		}
	}
	return messages, err
}

// claimMessages writes the rows of messages, and runs also in the same commit.
func (t *box) claimMessages(ctx context.Context, messages []ledger.Outgoing, sizes []int,
	also func(*ledger.Tx) error) error {
	how := ledger.Claiming{Site: t.o.site, First: t.firstNumber(messages[0].Claimed),
		Together: sizes, Identify: t.o.identify}
	files, d := slices.Clone(messages), t.o.desk
	d.tell(func() { d.beginClaim(files) })
	err := t.ledger.Update(ctx, func(tx *ledger.Tx) error {
		if err := tx.Claim(messages, how); err != nil {
			return err
		}
		return also(tx)
	})
	if err == nil {
		d.tell(func() { d.endClaim(files, messages) })
	} else {
		d.tell(func() { d.endClaim(files, nil) })
		err = reason.Err("claim-failed", "n", len(files), "first", files[0].Name, "why", err)
	}
	return err
}

// secure makes moved messages and their content durable, and returns those with unchanged sources.
// changed reports whether a source has changed since its claim.
func (t *box) secure(ctx context.Context,
	moved []ledger.Outgoing) (whole []ledger.Outgoing, changed bool, err error) {
	if len(moved) == 0 {
		return nil, false, nil
	}
	h, err := t.open()
	if err == nil {
		defer h.Close()
		err = h.syncMoved(moved)
	}
	if isOfOne(err) {
		return t.secureOthers(ctx, moved, err)
	}
	t.said.Warn(t.log, "sending cannot be made durable", err)
	if err != nil {
		return nil, false, nil
	}
	fault.Point("outbox-moved")
	for _, m := range moved {
		if now, err := h.observe(sourceAt(m)); err == nil && same(now, m.Source) {
			whole = append(whole, m)
			t.o.said.isNew(string(m.ID), "")
		}
		h.Relax()
	}
	return whole, len(whole) < len(moved), nil
}

// handOn gives durable messages to the desk. Messages for which it has no room wait in the ledger.
func (t *box) handOn(ctx context.Context, list []ledger.Outgoing) error {
	if len(list) == 0 {
		return nil
	}
	patience, end := context.WithTimeout(ctx, queuedFor)
	defer end()
	var rest []ledger.Outgoing
	for part := range byFolder(list) {
		t.log.Info("claimed", "messages", labels(part), "size", sizeOf(part))
		if !t.o.desk.arrive(patience, part) {
			rest = append(rest, part...)
		}
	}
	if len(rest) == 0 {
		return nil
	}
	err := t.o.take(ctx, rest)
	t.o.desk.tell(func() {
		t.o.desk.free(rest)
		t.o.desk.reconsider()
	})
	return err
}

// take sets the state of messages to Taken: they lie durably in sending/ and wait for a sealer.
func (o *Outbox) take(ctx context.Context, list []ledger.Outgoing) error {
	if len(list) == 0 {
		return nil
	}
	err := o.ledger.Update(ctx, func(tx *ledger.Tx) error {
		err := tx.Take(seqs(list))
		for _, m := range list {
			if why := reasonToKeep(m.Reason); err == nil && !why.IsZero() {
				err = tx.Explain(m.UID, why)
			}
		}
		return err
	})
	fault.Point("outbox-taken")
	return err
}

// sizeOf returns the sum of the sizes of messages' sources in bytes.
func sizeOf(list []ledger.Outgoing) (size int64) {
	for _, m := range list {
		size += m.Source.Size
	}
	return size
}

func seqs(list []ledger.Outgoing) []int64 {
	out := make([]int64, len(list))
	for i, m := range list {
		out[i] = m.Seq
	}
	return out
}

// isOfOne reports whether the cause of a failed sync is a single file, and not the disk. Another
// program has the file open, or another account has replaced it.
func isOfOne(err error) bool {
	return durable.InUse(err) || errors.Is(err, beneath.ErrLink) ||
		errors.Is(err, beneath.ErrNotRegular) || errors.Is(err, fs.ErrNotExist) ||
		errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.ENOTDIR)
}

// secureOthers makes messages durable one by one, after one of their files could not be synced.
func (t *box) secureOthers(ctx context.Context, moved []ledger.Outgoing,
	why error) (whole []ledger.Outgoing, changed bool, err error) {
	if len(moved) > 1 {
		for i := range moved {
			more, one, failed := t.secure(ctx, moved[i:i+1])
			whole, changed, err = append(whole, more...), changed || one, errors.Join(err, failed)
		}
		return whole, changed, err
	}
	if t.o.said.isNew(string(moved[0].ID), rootOf(why)) {
		t.log.Warn("claimed but not durable yet", "message", moved[0].ID, "error", why)
	}
	if !durable.InUse(why) {
		return nil, false, nil // the next sweep looks again
	}
	return nil, false, t.ledger.Update(ctx, func(tx *ledger.Tx) error {
		return tx.Explain(moved[0].UID, reason.New("held-from-disk"))
	})
}

// recoverClaims resumes the claims that a crash cut off, or whose file was still being written.
func (f *finder) recoverClaims(ctx context.Context, h *handles) error {
	t := f.t
	var after int64
	for {
		var list []ledger.Outgoing
		err := t.ledger.View(ctx, func(tx *ledger.Tx) (err error) {
			list, err = tx.Claimed(t.Name, after, claimGroup)
			return err
		})
		if err != nil || len(list) == 0 {
			return ignoreCancel(ctx, err)
		}
		after = list[len(list)-1].Seq
		var ready []ledger.Outgoing
		for _, m := range t.o.desk.freeOf(list) {
			m, ok, err := t.recoverClaim(ctx, h, m)
			if err != nil {
				return err
			}
			h.Relax()
			if ok {
				ready = append(ready, m)
			}
		}
		if err := f.resumeClaims(ctx, ready); err != nil {
			return ignoreCancel(ctx, err)
		}
	}
}

// resumeClaims takes messages with written rows. Some may still lie in outbox/.
func (f *finder) resumeClaims(ctx context.Context, list []ledger.Outgoing) error {
	list, err := f.t.o.holdClaimed(ctx, list)
	if err != nil {
		return err
	}
	f.claims += len(list)
	group := make([]found, len(list))
	for i, m := range list {
		group[i] = found{dir: m.Dir, name: m.Name}
	}
	f.claiming.add(group)
	f.claimers.Go(func() error { return f.take(ctx, list, group) })
	return nil
}

// holdClaimed reserves the messages of a list that are free and still claimed. Others may have been
// sealed, or have ended, since the list was read.
func (o *Outbox) holdClaimed(ctx context.Context,
	list []ledger.Outgoing) (held []ledger.Outgoing, err error) {
	var free, ended []ledger.Outgoing
	o.desk.tell(func() { free = o.desk.holdFree(list, byClaim) })
	err = o.view(ctx, func(tx *ledger.Tx) error {
		held, ended = nil, nil
		for _, m := range free {
			now, err := tx.Message(string(m.UID))
			if err != nil && !errors.Is(err, ledger.ErrNotFound) {
				return err
			}
			if err == nil && now.State == ledger.Claimed {
				held = append(held, m)
			} else {
				ended = append(ended, m)
			}
		}
		return nil
	})
	if err != nil {
		o.desk.release(free...)
		return nil, err
	}
	o.desk.release(ended...)
	return held, nil
}

// recoverClaim finds a claimed file, and reports whether it can be taken now. It can in sending/ or
// outbox/ if it is unchanged since its claim, and in sending/ if it was changed there and is
// finished. A file that is in neither place is withdrawn.
func (t *box) recoverClaim(ctx context.Context, h *handles,
	m ledger.Outgoing) (ledger.Outgoing, bool, error) {
	source, err := h.observe(sourceAt(m))
	if isThere := err == nil && same(source, m.Source); !isThere && h.isApart(m) {
		return m, true, nil
	} else if err == nil && !isThere {
		source, err = h.changed(m, tray.Settling{File: t.Settle, Folder: t.FolderSettle,
			Claimed: m.Claimed})
	}
	switch {
	case err == nil && same(source, m.Source):
		return m, true, nil
	case err == nil:
		was := m.UID
		m.Source = source
		if m.Digest == "" {
			t.o.identify(&m) // it was never sealed, so its identity may still change
		}
		err := t.ledger.Update(ctx, func(tx *ledger.Tx) error { return tx.Resource(was, m) })
		fault.Point("outbox-changed")
		return m, true, err
	case !errors.Is(err, fs.ErrNotExist):
		if m.Follows == "" {
			t.guardDropped(h, m, err)
		}
		if m.Reason == reason.Of(err) {
			return m, false, nil
		}
		return m, false, t.ledger.Update(ctx, func(tx *ledger.Tx) error {
			return tx.Explain(m.UID, reason.Of(err))
		})
	}
	if m.Follows != "" {
		return m, false, t.withdraw(ctx, h, m, ledger.Claimed, reason.New("rest-again"))
	}
	source, err = h.observe(droppedAt(m))
	if err == nil && same(source, m.Source) {
		return m, true, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.guardDropped(h, m, err)
		return m, false, nil
	}
	hasDisk, isAway, unknown := t.diskOf(ctx, h, m)
	switch {
	case unknown != nil:
		return m, false, unknown
	case hasDisk && err == nil && isSameContent(source, m.Source):
		m.Source = source // its disk was mounted again, or copied: file ids are others
		return m, true, t.ledger.Update(ctx, func(tx *ledger.Tx) error {
			return tx.Resource(m.UID, m)
		})
	case isAway:
		return m, false, t.waitForDisk(ctx, m)
	}
	t.setStuck(m, reason.Reason{})
	why := removedBefore()
	if err == nil {
		why = reason.New("changed-before-taken")
	}
	return m, false, t.withdraw(ctx, h, m, ledger.Claimed, why)
}

// guardDropped prevents a second claim of a file that may lie in outbox/ and cannot be moved.
// Another account may have put a link in its way.
func (t *box) guardDropped(h *handles, m ledger.Outgoing, cause error) {
	source, err := h.observe(droppedAt(m))
	switch {
	case err == nil && same(source, m.Source), err != nil && !errors.Is(err, fs.ErrNotExist):
		t.setStuck(m, t.whyStuck(cause))
	default:
		t.setStuck(m, reason.Reason{})
	}
}

// removedBefore returns the reason of a message whose file is gone.
func removedBefore() reason.Reason { return reason.New("removed-before-sent") }

// withdraw ends a message whose file is gone before anything of it was sent.
func (t *box) withdraw(ctx context.Context, h *handles, m ledger.Outgoing, from ledger.State,
	why reason.Reason) error {
	if home, err := t.atHome(ctx, h); err != nil || !home {
		return err
	}
	if ended := h.endedBefore(m); ended != "" {
		return t.ledger.Update(ctx, func(tx *ledger.Tx) error {
			return tx.End(m.UID, ended, reason.New("ended-before"), time.Now())
		})
	}
	t.log.Warn("withdrawn", "message", m.ID, "reason", why)
	h.emptied(ctx, m)
	fault.Point("outbox-withdrawn")
	return t.ledger.Update(ctx, func(tx *ledger.Tx) error {
		_, err := tx.Advance(m.UID, from, ledger.Withdrawn, why)
		return err
	})
}

// ignoreCancel returns nil in place of an error after the context has ended.
func ignoreCancel(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
