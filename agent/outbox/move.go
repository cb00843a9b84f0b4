package outbox

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"sealpost/agent/ledger"
	"sealpost/internal/durable"
	"sealpost/internal/fault"
	"sealpost/internal/words"
)

// moveAll moves claimed messages into sending/, returns those that are there now, and lets go of the others.
func (t *tray) moveAll(ctx context.Context, messages []ledger.Outgoing) (moved []ledger.Outgoing) {
	for part := range byFolder(messages) {
		moved = append(moved, t.movePart(ctx, part)...)
	}
	return moved
}

// movePart moves the messages of one folder.
func (t *tray) movePart(ctx context.Context, part []ledger.Outgoing) (moved []ledger.Outgoing) {
	var none error
	if part[0].Group == (ledger.Group{}) {
		none = t.makeFolder(part[0])
	} else {
		t.shared.Lock()
		defer t.shared.Unlock()
		none = t.makeShared(ctx, part)
	}
	for _, m := range part {
		err := none
		if err == nil {
			err = t.move(m)
		}
		why := whyStuck(err)
		if why != "" && !exists(t.dropped(m)) {
			why = "" // one of its name that comes later is another file
		}
		t.setStuck(m, why)
		if err != nil {
			t.log.Warn("claimed but not moved yet", "message", m.ID, "error", err)
			t.o.hold([]ledger.Outgoing{m}, false)
			continue
		}
		moved = append(moved, m)
	}
	return moved
}

// makeFolder makes the folder that one message has to itself, and notes in it for whom it is. What is there already stays: a crash
// may have left the file in it.
func (t *tray) makeFolder(m ledger.Outgoing) error {
	err := os.Mkdir(t.folder(m), 0o777)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err != nil && exists(t.source(m)) {
		return nil
	}
	return t.noteAddress(m)
}

// syncMoved makes the content of what was moved durable, and the folders in which it lies and lay.
func (t *tray) syncMoved(moved []ledger.Outgoing) error {
	files, dirs := []string(nil), []string{t.Sending(), t.Outbox()}
	for part := range byFolder(moved) {
		first := part[0]
		dirs = append(dirs, t.folder(first))
		switch {
		case first.Group != (ledger.Group{}):
			files = append(files, in(t.folder(first), groupNote))
		case first.Dir != "":
			files = append(files, in(t.folder(first), addressNote))
		}
		if first.Dir != "" {
			dirs = append(dirs, filepath.Dir(t.dropped(first)))
		}
		for _, m := range part {
			if !m.Folder {
				files = append(files, t.source(m))
			} else if err := durable.SyncTree(t.source(m)); err != nil {
				return err
			}
		}
	}
	return durable.SyncGroup(t.Dir, files, dirs)
}

// move renames a claimed file into the folder that is made for it, unless it is there already.
func (t *tray) move(m ledger.Outgoing) error {
	err := durable.RenameNoReplace(t.dropped(m), t.source(m))
	if err != nil && exists(t.source(m)) && !oneFile(t.dropped(m), t.source(m)) {
		return nil
	}
	if err != nil {
		return err
	}
	fault.Point("outbox-renamed")
	if m.Folder {
		err := os.Remove(t.dropped(m) + doneSuffix)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.log.Warn("a marker stays in outbox", "message", m.ID, "error", err)
		}
	}
	return nil
}

// oneFile tells whether two names are those of one file: where nothing can be renamed in one step, it has both until the rename is
// ended.
func oneFile(a, b string) bool {
	one, err := os.Lstat(a)
	if err != nil {
		return false
	}
	other, err := os.Lstat(b)
	return err == nil && os.SameFile(one, other)
}

// stuckKey names an entry of outbox/ by its path in it.
func stuckKey(m ledger.Outgoing) string { return under(m.Dir, m.Name) }

// setStuck remembers that a claimed file could not be moved, so that it is not claimed again and again.
func (t *tray) setStuck(m ledger.Outgoing, why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if why != "" {
		t.unmoved[stuckKey(m)] = why
	} else {
		delete(t.unmoved, stuckKey(m))
	}
}

func whyStuck(err error) string {
	switch {
	case err == nil:
		return ""
	case durable.InUse(err):
		return words.HeldFromMoving
	}
	return words.MayNotMove
}

func (t *tray) stuck(rel string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.unmoved[rel]
}
