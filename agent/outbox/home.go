package outbox

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"time"

	"sealpost/agent/ledger"
	"sealpost/agent/tray"
	"sealpost/internal/beneath"
	"sealpost/internal/reason"
	"sealpost/internal/trouble"
)

// prepare makes the tray's folders at the start, unless sending/ is missing while messages are
// under way. Its disk may not be mounted yet. In a new, empty sending/ all of them would count as
// withdrawn.
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
	// not fatal: another account may be the cause, and must not stop the agent's other work
	if err := t.makeParts(); err != nil {
		t.log.Error("the tray cannot be used", "error", err)
	}
	if h != nil {
		h.DropCopies()
	}
	return nil
}

// makeParts makes the missing folders of the tray.
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

// makeFinals makes delivered/ and failed/ again after a user has deleted them. It makes none while
// the tray's disk is not mounted.
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

// underWay counts the messages whose files must lie in sending/, and returns the latest time of
// their claims. Claimed files that still lie in outbox/ do not count. h is nil if the tray is
// missing.
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
		err = t.o.view(ctx, func(tx *ledger.Tx) (err error) {
			list, err = tx.Claimed(t.Name, after, claimGroup)
			return err
		})
		if len(list) == 0 {
			break
		}
		for _, m := range list {
			if after = m.Seq; h == nil || !h.Exists(droppedAt(m)) &&
				!h.Exists(asideAt(m)+"/"+m.Name) {
				n++
				if m.Claimed.After(last) {
					last = m.Claimed
				}
			}
		}
	}
	return n, last, err
}

// timesTell is the least age difference between a folder and a claim that counts in isOther. File
// systems note times in steps of up to two seconds.
const timesTell = 3 * time.Second

// atHome reports whether sending/ is the folder that has the tray's messages. While its disk or
// share is not mounted, the folder is missing or is another one. Then a missing file is no proof
// that a user has removed it.
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

// maxHomeProofs bounds the messages of each state that holdsUnderWay looks for.
const maxHomeProofs = 100

// holdsUnderWay reports whether sending/ has a file of a message under way, by its name and size.
// On a disk that was mounted again or copied, the file's identity, and perhaps its time, have
// changed.
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

// isOther reports at the start whether an empty sending/ is a folder other than the one before. It
// has another identity, and its last change is older than the last claim under way: the message was
// never moved into this folder, nor out of it. A claim in the future proves nothing.
func isOther(before, now string, changed, claimed, clock time.Time) bool {
	return before != "" && before != now &&
		changed.Add(timesTell).Before(claimed) && !claimed.After(clock)
}

func (t *box) homeKey() string { return "home/" + t.Name }

// homeBefore returns the identity of sending/ when it was last seen; empty: unknown.
func (t *box) homeBefore(ctx context.Context) (home string, err error) {
	err = t.o.view(ctx, func(tx *ledger.Tx) (err error) {
		home, err = tx.Setting(t.homeKey())
		return err
	})
	return home, err
}

// moveHome records the identity of sending/.
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
	if errors.Is(err, beneath.ErrLink) {
		return reason.New(reason.FolderIsLink)
	}
	if why := trouble.Of(err, ""); !why.IsZero() {
		return reason.New(reason.FolderTrouble, "why", why)
	}
	return reason.New(reason.FolderUnreadable, "why", tray.Plain(err))
}

// whole reports whether the tray can be looked through, and notes its missing folders.
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
	t.said.Warn(t.log, "a folder that was deleted cannot be made again", t.makeFinals(ctx, h))
	for _, part := range tray.Parts {
		if _, err := h.Dir(part); err != nil {
			notes[part] = folderUnreadable(err)
		}
	}
	h.noteApart(notes)
	return home, t.noteDisks(ctx, h, notes)
}

// noteApart notes sending/, delivered/ or failed/ with a disk of its own. Nothing can be renamed
// between them then.
func (h *handles) noteApart(notes map[string]reason.Reason) {
	sending, err := h.Dir(tray.SendingPart)
	if err != nil {
		return
	}
	var others []string
	finals := []string{tray.DeliveredPart, tray.FailedPart}
	for _, part := range finals {
		d, err := h.Dir(part)
		if err != nil {
			continue // it has a note
		}
		if isSame, err := d.IsSameDisk(sending); err == nil && !isSame {
			others = append(others, part)
		}
	}
	if len(others) == len(finals) { // sending/ itself, or both of them
		notes[tray.SendingPart] = reason.New(reason.FolderApart, "other",
			strings.Join(finals, ", "))
		return
	}
	for _, part := range others {
		notes[part] = reason.New(reason.FolderApart, "other", tray.SendingPart)
	}
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

// isMissing reports whether a message's file is missing, and not only its disk.
func (t *box) isMissing(ctx context.Context, h *handles, m ledger.Outgoing,
	cause error) (bool, error) {
	if !errors.Is(cause, fs.ErrNotExist) || !h.IsGone(sourceAt(m)) {
		return false, nil
	}
	return t.atHome(ctx, h)
}
