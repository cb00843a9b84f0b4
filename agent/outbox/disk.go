package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"

	"sealpost/agent/ledger"
	"sealpost/agent/tray"
	"sealpost/internal/beneath"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// A folder of outbox/ with a disk of its own has a random id in a note on that disk, and the ledger
// remembers the id. While the disk is away, the files that were claimed from there are missing, as
// if a user had removed them. Their messages wait, and are not withdrawn.

// diskNote is the note with the id of a disk, in the hidden folder there.
const diskNote = "disk.id"

// disks has the ids of disks, by their folders under outbox/: "" is outbox/ itself.
type disks struct {
	mu  sync.Mutex        // guards the fields below
	ids map[string]string // as the ledger has them; nil: not read yet
	now map[string]bool   // whether they had a disk of their own at the last sweep
}

// diskIDs returns the remembered ids.
func (t *box) diskIDs(ctx context.Context) (map[string]string, error) {
	t.disks.mu.Lock()
	defer t.disks.mu.Unlock()
	if t.disks.ids != nil {
		return t.disks.ids, nil
	}
	ids := map[string]string{}
	err := t.o.view(ctx, func(tx *ledger.Tx) error {
		text, err := tx.Setting(t.disksKey())
		if err != nil || text == "" {
			return err
		}
		return json.Unmarshal([]byte(text), &ids)
	})
	if err == nil {
		t.disks.ids = ids
	}
	return ids, err
}

func (t *box) disksKey() string { return "own-disks/" + t.Name }

// rememberDisk records the id of a folder's disk; "": it has none of its own any more.
func (t *box) rememberDisk(ctx context.Context, dir, disk string) error {
	before, err := t.diskIDs(ctx)
	if err != nil {
		return err
	}
	ids := maps.Clone(before)
	if ids[dir] = disk; disk == "" {
		delete(ids, dir)
	}
	text, err := json.Marshal(ids)
	if err != nil {
		return err
	}
	err = t.ledger.Update(ctx, func(tx *ledger.Tx) error {
		return tx.Set(t.disksKey(), string(text))
	})
	if err != nil {
		return err
	}
	t.log.Info("the disk of a folder in outbox changed", "folder", path.Join(tray.OutboxPart, dir),
		"own", disk != "")
	t.disks.mu.Lock()
	defer t.disks.mu.Unlock()
	t.disks.ids = ids
	return nil
}

// diskID returns the id of the disk of a folder in outbox/; "" if there is none.
func (h *handles) diskID(dir string) (disk string) {
	//nolint:errcheck // a note that cannot be read is none
	h.With(path.Join(tray.OutboxPart, dir, tray.AsideName, diskNote),
		func(d *beneath.Dir, name string) error {
			text, err := d.ReadFile(name, 64)
			if parsed, bad := id.Parse128[string](strings.TrimSpace(string(text))); bad == nil {
				disk = parsed
			}
			return err
		})
	return disk
}

// diskOf reports whether the ledger remembers a disk of a folder in outbox/, and whether that is
// not there now.
func (t *box) diskOf(ctx context.Context, h *handles, dir string) (isKnown, isAway bool,
	err error) {
	ids, err := t.diskIDs(ctx)
	isKnown = ids[dir] != ""
	return isKnown, isKnown && ids[dir] != h.diskID(dir), err
}

// knowDisk records the disk of a folder in outbox/, and reports whether entries can be taken from
// there. Another disk counts once no file of a message is on the one before.
func (t *box) knowDisk(ctx context.Context, h *handles, dir string) bool {
	isOwn := h.IsOtherDisk(dir)
	t.disks.mu.Lock()
	if t.disks.now == nil {
		t.disks.now = map[string]bool{}
	}
	t.disks.now[dir] = isOwn
	t.disks.mu.Unlock()
	ids, err := t.diskIDs(ctx)
	have := h.diskID(dir)
	if err != nil || isOwn && have != "" && have == ids[dir] || !isOwn && ids[dir] == "" {
		return err == nil
	}
	waiting, recalled, err := t.onDisk(ctx, h, dir)
	switch {
	case err != nil:
		return false
	case waiting > 0 || !isOwn && recalled > 0:
		return !isOwn // see noteDisks
	case !isOwn:
		have = ""
	case have == "":
		if have, err = h.nameDisk(dir); err != nil {
			t.said.Warn(t.log, "a disk of outbox cannot be used", err, "folder", dir)
			return false
		}
	}
	return t.rememberDisk(ctx, dir, have) == nil
}

// nameDisk gives the disk of a folder in outbox/ an id.
func (h *handles) nameDisk(dir string) (disk string, err error) {
	if err := h.MakeAside(path.Join(tray.OutboxPart, dir)); err != nil {
		return "", err
	}
	disk = id.Random128[string]()
	return disk, h.With(path.Join(tray.OutboxPart, dir, tray.AsideName, diskNote),
		func(d *beneath.Dir, name string) error {
			return d.WriteFile(name, []byte(disk+"\n"), 0o644)
		})
}

// onDisk counts the messages with a file on the disk of a folder in outbox/, which is away. Some
// wait to be moved, others were recalled.
func (t *box) onDisk(ctx context.Context, h *handles, dir string) (waiting, recalled int64,
	err error) {
	waiting, err = t.countLost(ctx, h, dir, func(tx *ledger.Tx, after int64) ([]ledger.Outgoing,
		error) {
		return tx.Claimed(t.Name, after, claimGroup)
	})
	if err == nil {
		recalled, err = t.countLost(ctx, h, dir, func(tx *ledger.Tx,
			after int64) ([]ledger.Outgoing, error) {
			return tx.Unfiled(t.Name, after, fileGroup)
		})
	}
	return waiting, recalled, err
}

// countLost counts the lost messages of a folder in outbox/ on all pages of a list.
func (t *box) countLost(ctx context.Context, h *handles, dir string,
	page func(*ledger.Tx, int64) ([]ledger.Outgoing, error)) (n int64, err error) {
	for after := int64(0); ; {
		var list []ledger.Outgoing
		err := t.o.view(ctx, func(tx *ledger.Tx) (err error) {
			list, err = page(tx, after)
			return err
		})
		if err != nil || len(list) == 0 {
			return n, err
		}
		for _, m := range list {
			after = m.Seq
			if m.Dir == dir && h.isLost(m) {
				n++
			}
			h.Relax()
		}
	}
}

// isLost reports whether the file of a claimed or recalled message is in none of its places.
func (h *handles) isLost(m ledger.Outgoing) bool {
	if m.State == ledger.Delivered || m.WasFiled() || m.Follows != "" ||
		h.Exists(sourceAt(m)) || h.Exists(asideAt(m)+"/"+m.Name) || h.Exists(placeAt(m)) {
		return false
	}
	dropped, err := h.observe(droppedAt(m))
	return err != nil || !isSameContent(dropped, m.Source)
}

// noteDisks notes the disks of outbox/ that are away while files of messages are on them.
func (t *box) noteDisks(ctx context.Context, h *handles, notes map[string]reason.Reason) error {
	ids, err := t.diskIDs(ctx)
	for dir := range ids {
		_, isAway, failed := t.diskOf(ctx, h, dir)
		if failed != nil || !isAway {
			err = errors.Join(err, failed)
			continue
		}
		n, _, failed := t.onDisk(ctx, h, dir)
		err = errors.Join(err, failed)
		if part := path.Join(tray.OutboxPart, dir); n > 0 {
			notes[part] = reason.New(reason.OutboxAway, "n", n)
		}
	}
	return err
}

// waitForDisk gives a claimed message the reason that its disk is away. Another reason that is to
// be kept stays.
func (t *box) waitForDisk(ctx context.Context, m ledger.Outgoing) error {
	why := reason.Of(errDiskAway)
	if !reasonToKeep(m.Reason).IsZero() || m.Reason == why {
		return nil
	}
	return t.ledger.Update(ctx, func(tx *ledger.Tx) error { return tx.Explain(m.UID, why) })
}

// own lists the folders with a disk of their own. Those of an outbox/ with such a disk are on it.
func (d *disks) own() (list []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.now[""] {
		return []string{tray.OutboxPart}
	}
	for dir, isOwn := range d.now {
		if isOwn {
			list = append(list, path.Join(tray.OutboxPart, dir))
		}
	}
	slices.Sort(list)
	return list
}
