package inbox

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"sealpost/agent/ledger"
	"sealpost/internal/beneath"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/internal/trouble"
)

const recoverPage = 256

// recover finishes half placed messages after a crash, removes other temporary files, and triggers
// unconfirmed settlements. It leaves a message that it cannot finish now: the next lease of it
// retries.
func (b *Inbox) recover(ctx context.Context, f *folders) error {
	if err := b.openVolumes(ctx, f); err != nil {
		return err
	}
	kept := map[string]bool{} // attempts that still have content
	for after := int64(0); ; {
		var rows []ledger.Received
		err := b.ledger.View(ctx, func(tx *ledger.Tx) (err error) {
			rows, err = tx.Placing(after, recoverPage)
			return err
		})
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			break
		}
		after = rows[len(rows)-1].Seq
		left, err := b.finishPlacing(ctx, f, rows)
		if err != nil {
			return err
		}
		for _, p := range left {
			kept[p.from] = true
			b.log.Error("not placed", "message", p.ID, "sender", p.Sender,
				"error", p.failed)
		}
	}
	if err := b.collectOver(ctx, f); err != nil {
		return err
	}
	begun, err := f.edges()
	if err != nil {
		return localError{err}
	}
	for _, e := range begun {
		kept[e.dir] = true // the next lease goes on with it
	}
	err = f.eachTemp(func(temp *beneath.Dir, prefix string) error {
		return errors.Join(b.restoreRecords(f, temp, prefix), f.discardAll(temp, prefix, kept))
	})
	if err != nil {
		return localError{err}
	}
	wake(b.settling)
	return nil
}

// discardAll removes the folders of all attempts in one folder, except the kept ones.
func (f *folders) discardAll(temp *beneath.Dir, prefix string, kept map[string]bool) error {
	for {
		var names []string
		err := temp.Each(func(entries []fs.DirEntry) error {
			for _, e := range entries {
				if !kept[prefix+e.Name()] {
					names = append(names, e.Name())
				}
			}
			if len(names) > 0 {
				return errStop
			}
			return nil
		})
		if err != nil && err != errStop {
			return err
		}
		if len(names) == 0 {
			return nil
		}
		for _, name := range names {
			var err error
			if strings.HasSuffix(name, trashSuffix) {
				err = temp.RemoveAll(name)
			} else {
				err = f.discard(prefix + name)
			}
			if err != nil {
				return err
			}
		}
	}
}

// errStop ends the listing of a folder.
var errStop = errors.New("stop listing")

// resumePlacing is recover for the messages of one delivery. An earlier attempt of this process may
// have stopped half way, for example on a full disk. It notes messages whose temporary content is
// gone in d.former: the delivery has them once more. It forgets those that the disk can never take,
// and those of before the sender's folder became a disk of its own: they are decided anew.
func (b *Inbox) resumePlacing(ctx context.Context, f *folders, d *delivery) error {
	rows, err := b.rowsOf(ctx, d.Sender, uids(d))
	rows = slices.DeleteFunc(rows, func(r ledger.Received) bool { return r.Placed })
	if err != nil || len(rows) == 0 {
		return err
	}
	left, err := b.finishPlacing(ctx, f, rows)
	if err != nil {
		return err
	}
	var never []id.UID
	for _, p := range left {
		if isNever(p.failed) || trouble.IsOtherDisk(p.failed) {
			never = append(never, p.UID)
			continue
		}
		if !errors.Is(p.failed, errTempGone) {
			return p.failed
		}
		if d.former == nil {
			d.former = map[id.UID]string{}
		}
		d.former[p.UID] = p.Path
	}
	if len(never) > 0 {
		err := b.ledger.Update(ctx, func(tx *ledger.Tx) error {
			return tx.NotPlaced(d.Sender, never)
		})
		if err != nil {
			return err
		}
	}
	for _, r := range rows {
		if envelope, _, ok := splitTemp(r.Temp); ok {
			if err := f.discard(envelope); err != nil {
				return localError{err}
			}
		}
	}
	return nil
}

// rowsOf returns the ledger's rows of these messages.
func (b *Inbox) rowsOf(ctx context.Context, sender id.Site,
	list []id.UID) (rows []ledger.Received, err error) {
	err = b.ledger.View(ctx, func(tx *ledger.Tx) (err error) {
		rows, err = tx.ReceivedOf(sender, list)
		return err
	})
	return rows, err
}

// errTempGone is the reason of a half placed message without a temporary folder and a record.
var errTempGone = errors.New("temporary folder gone")

// finishPlacing finishes interrupted placements, and returns those that it could not finish, with
// the reason of each.
func (b *Inbox) finishPlacing(ctx context.Context, f *folders,
	rows []ledger.Received) (left []*placement, err error) {
	var ended []*placement
	lists, taken := map[string]map[string]Record{}, map[string]bool{} // by folder; chosen paths
	for _, row := range rows {
		p := &placement{Received: row}
		p.from, p.item, _ = splitTemp(row.Temp)
		err := b.finishPlacement(ctx, f, p, lists, taken)
		if ignoreLocal(err) != nil {
			return nil, err
		}
		if err != nil {
			p.failed = localError{err}
			left = append(left, p)
			continue
		}
		ended = append(ended, p)
	}
	if err := f.syncPlaces(ended); err != nil {
		return nil, localError{err}
	}
	return left, b.ledger.Update(ctx, func(tx *ledger.Tx) error {
		for _, p := range ended {
			if err := tx.Placed(p.Sender, []id.UID{p.UID}); err != nil {
				return err
			}
			b.log.Info("placed", "message", p.ID, "sender", p.Sender, "envelope", p.Envelope,
				"after", "a crash")
		}
		return nil
	})
}

// finishPlacement finishes one placement. Content in the temporary folder is renamed now. Missing
// content was renamed before: it counts as placed, even if users have moved it since. Its record
// may still be missing.
func (b *Inbox) finishPlacement(ctx context.Context, f *folders, p *placement,
	lists map[string]map[string]Record, taken map[string]bool) error {
	if _, err := b.volumeOf(ctx, f, p.Sender); err != nil {
		return err
	}
	dir, err := f.envelope(p.from)
	if isGone(err) {
		// The folder outlives the placing. So either this is an older copy of the ledger, and the
		// record has the outcome; or .sealpost was removed; or the folder is in a second .sealpost
		// that another account has caused, and that was not found.
		r, known, err := f.findRecord(p.Sender, p.ID, p.UID)
		if err != nil {
			return localError{err}
		}
		if known && r.Content.Digest == p.Digest {
			return nil
		}
		if err := b.search(ctx); err != nil {
			return err
		}
		if dir, err = f.envelope(p.from); isGone(err) {
			return localError{errors.Join(errTempGone,
				reason.Err("temp-gone", "message", p.ID, "dir", b.cfg.Dir))}
		}
	}
	if err != nil {
		return localError{err}
	}
	if lists[p.from] == nil {
		if lists[p.from], err = b.readList(dir); err != nil {
			return localError{err}
		}
	}
	if r, listed := lists[p.from][p.item]; listed {
		if err := p.setRecord(r); err != nil {
			return localError{err}
		}
	}
	_, err = dir.Lstat(p.item)
	switch {
	case err == nil:
		if err := b.rename(ctx, f, p, taken); err != nil {
			return err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return localError{err}
	default: // it was renamed, but maybe not synced
		if _, err := f.contentOf(p.Sender); err != nil {
			return localError{err}
		}
	}
	return f.writeRecord(p)
}

// isGone reports whether an error of envelope means that an attempt's folder is missing.
func isGone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, beneath.ErrName)
}

// search looks for other folders .sealpost of this inbox, and merges them with the known one.
func (b *Inbox) search(ctx context.Context) error {
	b.mu.Lock()
	b.known = knownFolders{}
	b.mu.Unlock()
	f, err := b.enter(ctx)
	if err == nil {
		f.close()
	}
	return err
}

// uids returns the identities of a delivery's messages.
func uids(d *delivery) []id.UID {
	list := make([]id.UID, len(d.Messages))
	for i, m := range d.Messages {
		list[i] = m.UID
	}
	return list
}
