package inbox

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"sealpost/agent/ledger"
	"sealpost/internal/durable"
	"sealpost/internal/id"
	"sealpost/internal/words"
)

const recoverPage = 256

// recover brings what a crash left half placed to its end, drops the rest of the temporary files, and has unconfirmed
// settlements sent again.
func (b *Inbox) recover(ctx context.Context) error {
	for {
		var rows []ledger.Received
		if err := b.ledger.View(ctx, func(tx *ledger.Tx) (err error) { rows, err = tx.Placing(recoverPage); return err }); err != nil {
			return err
		}
		if len(rows) == 0 {
			break
		}
		if err := b.endPlacing(ctx, rows); err != nil {
			return err
		}
	}
	if err := b.bringRecords(); err != nil {
		return err
	}
	if err := errors.Join(discard(b.temp()), durable.MkdirAll(b.temp(), 0o700)); err != nil {
		return err
	}
	poke(b.settling)
	return nil
}

// resumePlacing does for the messages of one delivery what recover does for all: an earlier attempt of this process may
// have stopped half way, at a full disk or the like.
func (b *Inbox) resumePlacing(ctx context.Context, d *delivery) error {
	var rows []ledger.Received
	err := b.ledger.View(ctx, func(tx *ledger.Tx) (err error) {
		rows, err = tx.ReceivedOf(d.Sender, uids(d))
		return err
	})
	rows = slices.DeleteFunc(rows, func(r ledger.Received) bool { return r.Placed })
	if err != nil || len(rows) == 0 {
		return err
	}
	return b.endPlacing(ctx, rows)
}

// endPlacing ends placements of which it is not known how far they got.
func (b *Inbox) endPlacing(ctx context.Context, rows []ledger.Received) error {
	list := make([]*placement, len(rows))
	lists, taken := map[string]map[string]Record{}, map[string]bool{} // the lists by folder, and what is chosen
	for i, row := range rows {
		list[i] = &placement{Received: row}
		dir, name := filepath.Split(row.Temp)
		if lists[dir] == nil {
			var err error
			if lists[dir], err = b.readList(dir); err != nil {
				return localError{err}
			}
		}
		if r, listed := lists[dir][name]; listed {
			if err := list[i].setRecord(r); err != nil {
				return localError{err}
			}
		}
		if err := b.endPlacingOf(ctx, list[i], taken); err != nil {
			return err
		}
	}
	if err := b.syncPlaces(list); err != nil {
		return localError{err}
	}
	return b.ledger.Update(ctx, func(tx *ledger.Tx) error {
		for _, row := range rows {
			if err := tx.Placed(row.Sender, []id.UID{row.UID}); err != nil {
				return err
			}
			b.log.Info("placed", "message", row.ID, "sender", row.Sender, "envelope", row.Envelope, "after", "an interruption")
		}
		return nil
	})
}

// endPlacingOf ends one: content that is still in the temporary folder is renamed now; content that is not was renamed before, and
// *is* placed, whatever people did with the file since. Its record may be missing all the same.
func (b *Inbox) endPlacingOf(ctx context.Context, p *placement, taken map[string]bool) error {
	temp := b.at(p.Temp)
	_, err := os.Lstat(temp)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return localError{err}
	case err != nil && !exists(filepath.Dir(temp)):
		// The folder outlives the placing: this is another disk, or an older copy of the ledger, and the record says how it went on.
		r, known, err := b.remembered(p.Sender, p.ID, p.UID)
		if err != nil {
			return err
		}
		if !known || r.Content.Digest != p.Digest {
			return localError{errors.New(words.InboxGone(b.cfg.Dir))}
		}
	}
	if err := b.makeFolders([]*placement{p}); err != nil {
		return localError{err}
	}
	if err == nil {
		if err := b.rename(ctx, p, taken); err != nil {
			return err
		}
	}
	return b.writeRecord(p)
}

// uids are the identities of a delivery's messages.
func uids(d *delivery) []id.UID {
	list := make([]id.UID, len(d.Messages))
	for i, m := range d.Messages {
		list[i] = m.UID
	}
	return list
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
