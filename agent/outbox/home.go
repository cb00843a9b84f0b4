package outbox

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"time"

	"sealpost/agent/ledger"
	"sealpost/agent/tray"
	"sealpost/internal/beneath"
	"sealpost/internal/reason"
	"sealpost/internal/trouble"
)

// prepare makes the tray's folders at the start, but not while something is under way in a folder
// sending that is not there: it lies on a disk that is not mounted yet, and in an empty one
// everything would be taken for withdrawn.
func (t *box) prepare(ctx context.Context) error {
	h, err := t.openAny()
	if err == nil {
		defer h.Close()
	}
	if err != nil || !h.Exists(tray.SendingPart) {
		n, _, err := t.underWay(ctx, h)
		if err != nil {
			return err
		}
		if n > 0 {
			t.log.Error("the tray is not there", "reason", trayGone(n))
			return nil
		}
	}
	if err := t.makeParts(); err != nil { // other accounts may be in the way, and must not keep the agent from its other work
		t.log.Error("the tray cannot be used", "error", err)
	}
	if h != nil {
		h.DropCopies()
	}
	return nil
}

// makeParts makes the folders of the tray where they are missing.
func (t *box) makeParts() error {
	d, err := beneath.OpenOrMake(t.Dir, 0o777)
	if err != nil {
		return err
	}
	defer d.Close()
	for _, part := range tray.Parts {
		if err := d.MkdirAll(part, 0o777); err != nil {
			return err
		}
	}
	return nil
}

// makeFinals makes delivered/ and failed/ again after a user has deleted them. It makes nothing
// while the disk of the tray is away.
func (t *box) makeFinals(ctx context.Context, h *handles) error {
	for _, part := range []string{tray.DeliveredPart, tray.FailedPart} {
		if !h.IsGone(part) {
			continue
		}
		if home, err := t.atHome(ctx, h); err != nil || !home {
			return err
		}
		if err := h.Mkdir(part); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := h.Root.Sync(); err != nil {
			return err
		}
	}
	return nil
}

// underWay counts the messages that must lie in sending/, and says when the last of them was
// claimed. Those that are claimed and still lie in outbox/ do not. h is nil where the tray is not
// there.
func (t *box) underWay(ctx context.Context, h *handles) (n int64, last time.Time, err error) {
	err = t.o.view(ctx, func(tx *ledger.Tx) error {
		unfiled, err := tx.UnfiledByTray()
		if err != nil {
			return err
		}
		backlogs, err := tx.Backlogs()
		n = unfiled[t.Name]
		for _, b := range backlogs {
			if b.Tray == t.Name && b.State != ledger.Claimed {
				n += b.Count
			}
		}
		if err == nil && n > 0 {
			last, err = tx.LastUnderWay(t.Name)
		}
		return err
	})
	for after := int64(0); err == nil; {
		var list []ledger.Outgoing
		err = t.o.view(ctx, func(tx *ledger.Tx) (err error) { list, err = tx.Claimed(t.Name, after, claimGroup); return err })
		if len(list) == 0 {
			break
		}
		for _, m := range list {
			if after = m.Seq; h == nil || !h.Exists(droppedAt(m)) {
				n++
				if m.Claimed.After(last) {
					last = m.Claimed
				}
			}
		}
	}
	return n, last, err
}

// timesTell is how much older a folder must be than a message moved into it to be another folder:
// file systems note times in steps of up to two seconds.
const timesTell = 3 * time.Second

// atHome tells whether sending/ is the folder in which the tray's messages lie. While its disk or
// share is away there is no such folder, or another that holds none of them, and that a file is not
// in it says nothing about the file.
func (t *box) atHome(ctx context.Context, h *handles) (bool, error) {
	sending, err := h.Dir(tray.SendingPart)
	if err != nil {
		return false, nil
	}
	info, err := sending.Info()
	if err != nil {
		return false, nil
	}
	now := info.ID.String()
	t.mu.Lock()
	home := t.home
	t.mu.Unlock()
	if home == now {
		return true, nil
	}
	if !t.holdsUnderWay(ctx, h) {
		n, last, err := t.underWay(ctx, h)
		if err != nil || n > 0 && home != "" {
			return false, err
		}
		before, err := t.homeBefore(ctx)
		if err != nil || n > 0 && isOther(before, now, info.Changed, last, time.Now()) {
			return false, err
		}
	}
	return true, t.moveHome(ctx, now) // at the start, or mounted again under another name
}

// maxHomeProofs bounds the messages of each state that are looked for in a folder sending.
const maxHomeProofs = 100

// holdsUnderWay reports whether a file that is under way lies in sending/, by its name and size. On
// a disk that was mounted again or copied, its identity and perhaps its time are others.
func (t *box) holdsUnderWay(ctx context.Context, h *handles) bool {
	var list []ledger.Outgoing
	err := t.o.view(ctx, func(tx *ledger.Tx) (err error) {
		list, err = tx.UnderWay(t.Name, maxHomeProofs)
		return err
	})
	return err == nil && slices.ContainsFunc(list, func(m ledger.Outgoing) bool {
		source, err := h.observe(sourceAt(m))
		return err == nil && source.Size == m.Source.Size && source.Entries == m.Source.Entries
	})
}

// isOther tells at a start whether a folder that holds nothing under way is another than the one
// into which the last message was moved that must lie in it: it is not the one that was there
// before, and it has not changed since before that message was claimed, so that the message was
// never moved into it nor taken out of it. A clock that was ahead proves nothing.
func isOther(before, now string, changed, claimed, clock time.Time) bool {
	return before != "" && before != now && changed.Add(timesTell).Before(claimed) && !claimed.After(clock)
}

func (t *box) homeKey() string { return "home/" + t.Name }

// homeBefore is which folder sending/ was when it was last seen; empty when that is not known.
func (t *box) homeBefore(ctx context.Context) (home string, err error) {
	err = t.o.view(ctx, func(tx *ledger.Tx) (err error) { home, err = tx.Setting(t.homeKey()); return err })
	return home, err
}

func (t *box) moveHome(ctx context.Context, home string) error {
	before, err := t.homeBefore(ctx)
	if err == nil && before != home {
		err = t.ledger.Update(ctx, func(tx *ledger.Tx) error { return tx.Set(t.homeKey(), home) })
	}
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.home = home
	return nil
}

// trayGone returns the reason that the folders of a tray are not the ones of its messages.
func trayGone(n int64) reason.Reason { return reason.New(reason.TrayGone, "n", n) }

// folderUnreadable returns the reason that a folder of a tray cannot be read.
func folderUnreadable(err error) reason.Reason {
	if why := trouble.Of(err, ""); !why.IsZero() {
		return reason.New(reason.FolderTrouble, "why", why)
	}
	return reason.New(reason.FolderUnreadable, "why", tray.Plain(err))
}

// whole tells whether the tray can be looked through, and notes which of its folders are not there.
func (t *box) whole(ctx context.Context, h *handles, notes map[string]reason.Reason) (bool, error) {
	home, err := t.atHome(ctx, h)
	if err != nil {
		return false, err
	}
	if !home {
		n, _, err := t.underWay(ctx, h)
		if n > 0 || err != nil {
			notes[tray.SendingPart] = trayGone(n)
			return false, err
		}
	}
	if err := t.makeFinals(ctx, h); err != nil {
		t.log.Warn("a folder that was deleted cannot be made again", "error", err)
	}
	for _, part := range tray.Parts {
		if _, err := h.Dir(part); err != nil {
			notes[part] = folderUnreadable(err)
		}
	}
	return home, nil
}

// noteAbsent notes that the tray itself cannot be opened.
func (t *box) noteAbsent(ctx context.Context, cause error, notes map[string]reason.Reason) error {
	n, _, err := t.underWay(ctx, nil)
	if err == nil && n > 0 {
		notes[tray.SendingPart] = trayGone(n)
	}
	for _, part := range tray.Parts {
		if notes[part].IsZero() {
			notes[part] = folderUnreadable(cause)
		}
	}
	return err
}

// gone reports whether a message's file is missing, and not only its disk.
func (t *box) gone(ctx context.Context, h *handles, m ledger.Outgoing, cause error) (bool, error) {
	if !errors.Is(cause, fs.ErrNotExist) || !h.IsGone(sourceAt(m)) {
		return false, nil
	}
	return t.atHome(ctx, h)
}
