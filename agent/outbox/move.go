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

// moveAll moves claimed messages into sending/, and returns those that are there now.
func (t *box) moveAll(ctx context.Context, messages []ledger.Outgoing) (moved []ledger.Outgoing) {
	h, err := t.open()
	if err != nil {
		t.log.Warn("claimed but not moved yet", "messages", labels(messages), "error", err)
		for _, m := range messages {
			t.setStuck(m, t.whyStuck(err))
		}
		return nil
	}
	defer h.Close()
	for part := range byFolder(messages) {
		moved = append(moved, t.movePart(ctx, h, part)...)
		h.Relax()
	}
	return moved
}

// movePart moves the messages of one folder into sending/, and returns those that are there now.
func (t *box) movePart(ctx context.Context, h *handles,
	part []ledger.Outgoing) (moved []ledger.Outgoing) {
	var none error
	if part[0].Group == (ledger.Group{}) {
		none = h.makeFolder(part[0])
	} else {
		t.shared.Lock()
		defer t.shared.Unlock()
		none = h.makeShared(ctx, part)
	}
	for _, m := range part {
		err := none
		if err == nil {
			err = h.move(m)
		}
		if m.Follows != "" { // it is not in outbox/
			if err == nil {
				moved = append(moved, m)
			}
			continue
		}
		why := t.whyStuck(err)
		if !why.IsZero() && h.IsGone(droppedAt(m)) {
			why = reason.Reason{} // one of its name that comes later is another file
		}
		t.setStuck(m, why)
		if err != nil {
			t.log.Warn("claimed but not moved yet", "message", m.ID, "error", err)
			continue
		}
		moved = append(moved, m)
	}
	return moved
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
// No reason removes the record.
func (t *box) setStuck(m ledger.Outgoing, why reason.Reason) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !why.IsZero() {
		t.unmoved[stuckKey(m)] = why
	} else {
		delete(t.unmoved, stuckKey(m))
	}
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
