package outbox

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"sealpost/agent/ledger"
	"sealpost/agent/tray"
	"sealpost/internal/beneath"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/internal/shell"
)

// A folder of outbox/ with a disk of its own has a random id in a note on that disk, and the ledger
// remembers the id. While the disk is away, the files that were claimed from there are missing, as
// if a user had removed them. Their messages wait, and are not withdrawn. After a recall another
// disk may take its place. The recalled messages keep the id of theirs until they are filed. A disk
// that goes away without a claimed file on it is named until it, or another, is there.

// diskNote is the note with the id of a disk, in the hidden folder there.
const diskNote = "disk.id"

// disks has the ids of disks, by their folders under outbox/: "" is outbox/ itself.
type disks struct {
	mu     sync.Mutex            // guards the fields below
	ids    map[string]string     // as the ledger has them; nil: not read yet
	left   map[id.Message]string // the disks of recalled messages that another has replaced
	absent map[string]time.Time  // folders that have lost a disk without claimed files, and when
	now    map[string]bool       // whether they had a disk of their own at the last sweep
}

// diskIDs returns the remembered ids of folders, and of messages on disks before those.
func (t *box) diskIDs(ctx context.Context) (ids map[string]string, left map[id.Message]string,
	err error) {
	t.disks.mu.Lock()
	defer t.disks.mu.Unlock()
	if t.disks.ids != nil {
		return t.disks.ids, t.disks.left, nil
	}
	var absent map[string]time.Time
	err = t.o.view(ctx, func(tx *ledger.Tx) error {
		ids, left = map[string]string{}, map[id.Message]string{}
		absent = map[string]time.Time{}
		return errors.Join(readSetting(tx, t.disksKey(), &ids),
			readSetting(tx, t.leftKey(), &left), readSetting(tx, t.goneKey(), &absent))
	})
	if err == nil {
		t.disks.ids, t.disks.left, t.disks.absent = ids, left, absent
	}
	return ids, left, err
}

// readSetting reads a setting of the ledger into a value, which stays if there is none.
func readSetting(tx *ledger.Tx, key string, into any) error {
	text, err := tx.Setting(key)
	if err != nil || text == "" {
		return err
	}
	return json.Unmarshal([]byte(text), into)
}

// setSetting stores a value as a setting of the ledger.
func setSetting(tx *ledger.Tx, key string, value any) error {
	text, err := json.Marshal(value)
	return errors.Join(err, tx.Set(key, string(text)))
}

func (t *box) disksKey() string { return "own-disks/" + t.Name }
func (t *box) leftKey() string  { return "left-disks/" + t.Name }
func (t *box) goneKey() string  { return "gone-disks/" + t.Name }

// rememberDisk records the id of a folder's disk; "": it has none of its own any more. Recalled
// messages on the one before keep that.
func (t *box) rememberDisk(ctx context.Context, dir, disk string, recalled []id.Message) error {
	before, leftBefore, err := t.diskIDs(ctx)
	if err != nil {
		return err
	}
	ids, left := maps.Clone(before), maps.Clone(leftBefore)
	for _, m := range recalled {
		left[m] = before[dir]
	}
	t.disks.mu.Lock()
	absent := maps.Clone(t.disks.absent)
	t.disks.mu.Unlock()
	ids[dir] = disk
	delete(absent, dir)
	if disk == "" {
		delete(ids, dir)
		absent[dir] = time.Now().Truncate(time.Second)
	}
	err = t.ledger.Update(ctx, func(tx *ledger.Tx) error {
		for m := range left {
			row, err := tx.Message(string(m))
			if err != nil && !errors.Is(err, ledger.ErrNotFound) {
				return err
			}
			if err != nil || row.Filed {
				delete(left, m)
			}
		}
		return errors.Join(setSetting(tx, t.disksKey(), ids), setSetting(tx, t.leftKey(), left),
			setSetting(tx, t.goneKey(), absent))
	})
	if err != nil {
		return err
	}
	t.log.Info("the disk of a folder in outbox changed", "folder", path.Join(tray.OutboxPart, dir),
		"own", disk != "")
	t.disks.mu.Lock()
	defer t.disks.mu.Unlock()
	t.disks.ids, t.disks.left, t.disks.absent = ids, left, absent
	return nil
}

// noteGone notes the disks of outbox/ that went away without a claimed file on them, and are not
// replaced. An admin ends a note by making the hidden folder, or by removing the folder.
func (t *box) noteGone(ctx context.Context, h *handles, notes map[string]reason.Reason) error {
	t.disks.mu.Lock()
	defer t.disks.mu.Unlock()
	isChanged := false
	for dir, since := range t.disks.absent {
		part := path.Join(tray.OutboxPart, dir)
		if h.Exists(part+"/"+tray.AsideName) || h.IsGone(part) {
			delete(t.disks.absent, dir)
			isChanged = true
			continue
		}
		notes[part] = reason.New(reason.DiskGone, "since", since, "command", shell.Join("mkdir",
			filepath.Join(t.Dir, filepath.FromSlash(part), tray.AsideName)))
	}
	if !isChanged {
		return nil
	}
	return t.ledger.Update(ctx, func(tx *ledger.Tx) error {
		return setSetting(tx, t.goneKey(), t.disks.absent)
	})
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

// diskOf reports whether the ledger remembers the disk of a message in outbox/, and whether that is
// not there now.
func (t *box) diskOf(ctx context.Context, h *handles, m ledger.Outgoing) (isKnown, isAway bool,
	err error) {
	ids, left, err := t.diskIDs(ctx)
	disk := cmp.Or(left[m.ID], ids[m.Dir])
	return disk != "", disk != "" && disk != h.diskID(m.Dir), err
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
	ids, _, err := t.diskIDs(ctx)
	have := h.diskID(dir)
	if err != nil || isOwn && have != "" && have == ids[dir] || !isOwn && ids[dir] == "" {
		return err == nil
	}
	waiting, recalled, err := t.onDisk(ctx, h, dir)
	switch {
	case err != nil:
		return false
	case waiting > 0 || !isOwn && len(recalled) > 0:
		return !isOwn // see noteDisks
	case !isOwn:
		have = ""
	case have == "":
		if have, err = h.nameDisk(dir); err != nil {
			t.said.Warn(t.log, "a disk of outbox cannot be used", err, "folder", dir)
			return false
		}
	}
	return t.rememberDisk(ctx, dir, have, recalled) == nil
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

// onDisk counts the messages that wait with a file on the disk of a folder in outbox/, which is
// away. It lists those of that disk that were recalled.
func (t *box) onDisk(ctx context.Context, h *handles, dir string) (waiting int64,
	recalled []id.Message, err error) {
	_, left, err := t.diskIDs(ctx)
	if err != nil {
		return 0, nil, err
	}
	err = t.eachOf(ctx, dir, (*ledger.Tx).Claimed, func(m ledger.Outgoing) {
		if h.isLost(m) {
			waiting++
		}
		h.Relax()
	})
	if err != nil {
		return 0, nil, err
	}
	err = t.eachOf(ctx, dir, (*ledger.Tx).Unfiled, func(m ledger.Outgoing) {
		if left[m.ID] == "" && h.isLost(m) {
			recalled = append(recalled, m.ID)
		}
		h.Relax()
	})
	return waiting, recalled, err
}

// guardRecalled prevents that recalled files are taken from the disk of a folder in outbox/, which
// is back.
func (t *box) guardRecalled(ctx context.Context, h *handles, dir string) error {
	ids, _, err := t.diskIDs(ctx)
	if err != nil || ids[dir] == "" {
		return err
	}
	return t.eachOf(ctx, dir, (*ledger.Tx).Unfiled, func(m ledger.Outgoing) {
		_, isAway, err := t.diskOf(ctx, h, m)
		if m.State != ledger.Failed || m.WasFiled() || m.Follows != "" || isAway || err != nil ||
			h.Exists(sourceAt(m)) {
			return
		}
		source, err := h.observe(droppedAt(m))
		if err == nil && isSameContent(source, m.Source) {
			t.setStuck(m, reason.New("waits-for-copy"))
			poke(t.filing)
		}
		h.Relax()
	})
}

// eachOf calls a function for the messages of a folder in outbox/ on all pages of a list.
func (t *box) eachOf(ctx context.Context, dir string,
	page func(*ledger.Tx, string, int64, int) ([]ledger.Outgoing, error),
	do func(ledger.Outgoing)) error {
	for after := int64(0); ; {
		var list []ledger.Outgoing
		err := t.o.view(ctx, func(tx *ledger.Tx) (err error) {
			list, err = page(tx, t.Name, after, claimGroup)
			return err
		})
		if err != nil || len(list) == 0 {
			return err
		}
		for _, m := range list {
			if after = m.Seq; m.Dir == dir {
				do(m)
			}
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
	ids, _, err := t.diskIDs(ctx)
	for dir := range ids {
		_, isAway, failed := t.diskOf(ctx, h, ledger.Outgoing{Dir: dir})
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
	return errors.Join(err, t.noteGone(ctx, h, notes))
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
