package outbox

import (
	"context"
	"errors"
	"io/fs"

	"sealpost/agent/ledger"
	"sealpost/agent/tray"
	"sealpost/internal/durable"
	"sealpost/internal/fault"
	"sealpost/internal/reason"
	"sealpost/internal/trouble"
)

// moving is one attempt to move claimed messages into sending/.
type moving struct {
	t            *box
	h            *handles
	moved        []ledger.Outgoing // they are there now
	large        []ledger.Outgoing // on another disk, and not copied yet
	isUnfinished bool              // an early sweep can take more of them
	// messages that cannot be moved, by reasons that the log does not have yet
	reasons map[reason.Reason][]ledger.Outgoing
}

func (t *box) newMoving(h *handles) *moving {
	return &moving{t: t, h: h, reasons: map[reason.Reason][]ledger.Outgoing{}}
}

// moveAll moves claimed messages into sending/. Large ones on another disk are left for bringLarge.
func (t *box) moveAll(ctx context.Context, messages []ledger.Outgoing) (v *moving, err error) {
	h, err := t.open()
	v = t.newMoving(h)
	defer v.log()
	if err != nil {
		v.allGood(messages, err)
		return v, nil
	}
	defer h.Close()
	for part := range byFolder(messages) {
		if err := v.movePart(ctx, part); err != nil {
			return v, err
		}
		h.Relax()
	}
	return v, nil
}

// movePart moves the messages of one folder into sending/.
func (v *moving) movePart(ctx context.Context, part []ledger.Outgoing) error {
	t, h := v.t, v.h
	if part[0].Group != (ledger.Group{}) {
		t.shared.Lock()
		defer t.shared.Unlock()
	}
	none := h.makePlace(ctx, part)
	var small []ledger.Outgoing
	for _, m := range part {
		err := none
		if err == nil {
			err = h.move(m)
		}
		switch {
		case err != nil && trouble.IsOtherDisk(err) && m.Follows == "":
			if isBulk(m) {
				v.large = append(v.large, m)
				t.setStuck(m, reason.New("waits-for-copy"))
				t.setCopying(m, nil, reason.Reason{})
			} else {
				small = append(small, m)
			}
		case v.isGood(m, err):
			v.moved = append(v.moved, m)
		}
	}
	if len(small) == 0 {
		return nil
	}
	return v.bring(ctx, small)
}

// isGood reports that a step of a message's move has no error. It notes the reason of a file that
// cannot be moved, so that it is not claimed again.
func (v *moving) isGood(m ledger.Outgoing, err error) bool {
	if m.Follows != "" { // it is not in outbox/
		return err == nil
	}
	why := v.t.whyStuck(err)
	if !why.IsZero() && v.h != nil && v.h.IsGone(droppedAt(m)) && v.h.IsGone(asideAt(m)) {
		why = reason.Reason{} // one of its name that comes later is another file
	}
	if v.t.setStuck(m, why) && !why.IsZero() {
		v.reasons[why] = append(v.reasons[why], m)
	}
	if !why.IsZero() && v.h != nil && !v.h.IsGone(asideAt(m)) {
		v.t.setCopying(m, nil, why)
	}
	return err == nil
}

// allGood is isGood for the common step of some messages. It returns those without an error.
func (v *moving) allGood(list []ledger.Outgoing, err error) []ledger.Outgoing {
	if err == nil {
		return list
	}
	for _, m := range list {
		v.isGood(m, err)
	}
	return nil
}

// log writes one line for each new reason, with the number of its messages.
func (v *moving) log() {
	for why, list := range v.reasons {
		v.t.log.Warn("claimed but not moved yet", "messages", len(list), "first", list[0].ID,
			"reason", why)
	}
}

// makePlace makes the folder in sending/ of messages that share one.
func (h *handles) makePlace(ctx context.Context, part []ledger.Outgoing) error {
	if part[0].Group == (ledger.Group{}) {
		return h.makeFolder(part[0])
	}
	return h.makeShared(ctx, part)
}

// makeFolder makes the folder that one message has to itself, and notes the address in it. It keeps
// an entry that is there: a crash may have left the file in it.
func (h *handles) makeFolder(m ledger.Outgoing) error {
	err := h.Mkdir(folderAt(m))
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err != nil && h.Exists(sourceAt(m)) {
		return nil
	}
	return h.noteAddress(m)
}

// syncMoved makes the content of moved messages durable, and their new and old folders.
func (h *handles) syncMoved(moved []ledger.Outgoing) error {
	files, dirs := []string(nil), []string{tray.SendingPart, tray.OutboxPart}
	for part := range byFolder(moved) {
		first := part[0]
		dirs = append(dirs, folderAt(first))
		switch {
		case first.Group != (ledger.Group{}):
			files = append(files, folderAt(first)+"/"+groupNote)
		case first.Dir != "":
			files = append(files, folderAt(first)+"/"+addressNote)
		}
		if first.Dir != "" {
			dirs = append(dirs, tray.OutboxPart+"/"+first.Dir)
		}
		for _, m := range part {
			if !m.Folder {
				files = append(files, sourceAt(m))
			} else if err := h.Root.SyncTree(sourceAt(m)); err != nil {
				return err
			}
		}
	}
	return h.Root.SyncGroup(files, dirs)
}

// move renames a claimed file into its folder under sending/, unless it lies there already.
func (h *handles) move(m ledger.Outgoing) error {
	if m.Follows != "" {
		_, err := h.Lstat(sourceAt(m))
		return err
	}
	canBeMarked := m.Folder || h.t.OnlyMarked
	if canBeMarked && !h.Exists(sourceAt(m)) { // else another of its name may lie in outbox/
		if err := h.unmark(droppedAt(m)); err != nil {
			return err
		}
		fault.Point("outbox-unmarked")
	}
	err := h.Rename(droppedAt(m), sourceAt(m))
	if trouble.IsOtherDisk(err) {
		return err // see bring
	}
	if err != nil && h.Exists(sourceAt(m)) && !h.OneFile(droppedAt(m), sourceAt(m)) {
		return nil
	}
	if err != nil {
		return err
	}
	fault.Point("outbox-renamed")
	return nil
}

// stuckKey returns the path of a message's file in outbox/.
func stuckKey(m ledger.Outgoing) string { return tray.Under(m.Dir, m.Name) }

// setStuck records the reason that a claimed file cannot be moved, so that it is not claimed again.
// No reason removes the record. It reports whether the reason is another one.
func (t *box) setStuck(m ledger.Outgoing, why reason.Reason) (isNew bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.copies, stuckKey(m))
	isNew = t.unmoved[stuckKey(m)] != why
	if !why.IsZero() {
		t.unmoved[stuckKey(m)] = why
	} else {
		delete(t.unmoved, stuckKey(m))
	}
	return isNew
}

// whyStuck returns the reason of a file that cannot be moved out of outbox/, or none.
func (t *box) whyStuck(err error) reason.Reason {
	switch {
	case err == nil:
		return reason.Reason{}
	case durable.InUse(err):
		return reason.New("held-from-moving")
	}
	why := trouble.Of(err, t.Dir)
	if why.IsZero() {
		why = tray.Plain(err)
	}
	return reason.New("cannot-move", "why", why)
}

// maxStuck bounds the remembered files that cannot be moved. Nothing more is claimed while there
// are as many.
const maxStuck = 1024

// whyNotClaimed returns the reason not to claim an entry of outbox/; none: it may be claimed.
func (t *box) whyNotClaimed(rel string) reason.Reason {
	t.mu.Lock()
	defer t.mu.Unlock()
	if why := t.unmoved[rel]; !why.IsZero() || len(t.unmoved) < maxStuck {
		return why
	}
	return reason.New("others-cannot-move")
}
