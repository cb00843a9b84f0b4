package outbox

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"time"

	"sealpost/agent/ledger"
	"sealpost/agent/tray"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// Users put files into sending/, delivered/ and failed/ too, by mistake. Nothing is sent from
// there, and they are told.

// lookRests spaces the looks through a folder: each is followed by a pause of this many times its
// duration.
const lookRests = 50

// looked remembers the last look through a folder for entries that do not belong there.
type looked struct {
	changed, at time.Time // of the folder, and of the look
	took        time.Duration
}

// findAstray looks for entries that do not belong in the folders of messages, if these have
// changed. It looks through a folder with very many messages rarely. In between, notifications name
// new entries.
func (f *finder) findAstray(ctx context.Context, h *handles) error {
	for _, part := range []string{tray.SendingPart, tray.DeliveredPart, tray.FailedPart} {
		d, err := h.Dir(part)
		if err != nil {
			continue // it is noted
		}
		f.watch.Add(in(f.t.Dir, part))
		info, err := d.Info()
		last, now := f.looked[part], time.Now()
		if err != nil || info.Changed.Equal(last.changed) ||
			now.Sub(last.at) < lookRests*last.took {
			continue
		}
		var failed error
		err = d.Each(func(entries []fs.DirEntry) error {
			failed = f.t.tellAstray(ctx, h, part, entries)
			return errors.Join(failed, ctx.Err())
		})
		if failed != nil {
			return failed
		}
		if err == nil {
			f.looked[part] = looked{info.Changed, now, time.Since(now)}
		}
	}
	return nil
}

// tellAstray notes the entries of a folder that are no messages, or unknown to the ledger.
func (t *box) tellAstray(ctx context.Context, h *handles, part string,
	entries []fs.DirEntry) error {
	// messages by which the ledger knows the folders, in the order of the entries
	var first []string
	var folders []string
	for _, e := range entries {
		message, ok := t.messageOf(e.Name())
		switch {
		case tray.NatureOf(e.Name()) == tray.Litter || h.IsCopy(part, e.Name()):
		case !ok || !e.IsDir():
			t.tellStrange(part + "/" + e.Name())
		case part == tray.SendingPart:
			first, folders = append(first, string(message)), append(folders, e.Name())
		}
	}
	if len(first) == 0 {
		return nil
	}
	return t.o.view(ctx, func(tx *ledger.Tx) error {
		for i, message := range first {
			m, err := tx.Message(message)
			switch ended := m.State == ledger.Withdrawn || m.Filed; {
			case errors.Is(err, ledger.ErrNotFound):
				t.tellStrange(part + "/" + folders[i])
			case err != nil:
				return err
			case ended && m.Group == (ledger.Group{}):
				t.tellAlone(part+"/"+folders[i], reason.New("ended-elsewhere",
					"state", m.State.Reason()))
			}
		}
		return nil
	})
}

// messageOf returns the first message of a folder with this name, if such a folder is this site's.
func (t *box) messageOf(name string) (first id.Message, ok bool) {
	if first, site, err := id.ParseMessage(name); err == nil && site == t.o.site {
		return first, true
	}
	first, site, _, _, err := id.ParseGroup(name)
	return first, err == nil && site == t.o.site
}

// hearAstray notes an entry beside outbox/ on a notification, unless its name is that of a
// message's folder. A watch goes by a path, which may have led to a folder elsewhere: only a name
// that lies in the tray is noted.
func (t *box) hearAstray(part, name string) {
	if _, ok := t.messageOf(name); ok || tray.NatureOf(name) != tray.Ordinary {
		return
	}
	h, err := t.open()
	if err != nil {
		return
	}
	defer h.Close()
	if h.Exists(part + "/" + name) {
		t.tellStrange(part + "/" + name)
	}
}

// tellStrange notes that an entry of the tray is not sealpost's.
func (t *box) tellStrange(rel string) { t.tellAlone(rel, reason.Of(tray.ErrStrange)) }

// tellAlone notes why an entry of the tray is left alone, for as long as it lies there.
func (t *box) tellAlone(rel string, why reason.Reason) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.unknown == nil {
		t.unknown = map[string]reason.Reason{}
	}
	if t.unknown[rel] == why || len(t.unknown) >= maxNotes {
		return
	}
	t.unknown[rel] = why
	if t.notes == nil {
		t.notes = map[string]reason.Reason{}
	}
	t.notes[rel] = why
	t.log.Warn("left alone", "reason", why) // the name is for the status, not for the log
}

// leftAlone notes the entries beside outbox/ that are left alone and still there.
func (t *box) leftAlone(h *handles, notes map[string]reason.Reason) {
	t.mu.Lock()
	missing := maps.Clone(t.unknown)
	t.mu.Unlock()
	maps.DeleteFunc(missing, func(rel string, _ reason.Reason) bool {
		return !h.IsGone(rel) // a folder may hang
	})
	t.mu.Lock()
	defer t.mu.Unlock()
	for rel, why := range t.unknown {
		if missing[rel] == why {
			delete(t.unknown, rel)
			continue
		}
		notes[rel] = why
	}
}
