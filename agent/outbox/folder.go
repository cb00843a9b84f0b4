package outbox

import (
	"context"
	"errors"
	"iter"
	"path"
	"time"

	"sealpost/agent/ledger"
	"sealpost/agent/tray"
	"sealpost/envelope"
	"sealpost/internal/beneath"
	"sealpost/internal/id"
)

const (
	treePage = 500
	dropPage = 5000
	// keepTrees is the least time for which the lists of folders are kept after the last
	// comparison.
	keepTrees = 2 * comparedFor
)

// sortTree lists a folder's entries into the ledger, which sorts them. A folder may have more
// entries than fit into memory, and its digest needs them in one order. The folder must still be
// the one that was claimed.
func (o *Outbox) sortTree(ctx context.Context, from *sources, m ledger.Outgoing) error {
	if err := o.dropTree(ctx, m.UID); err != nil {
		return err
	}
	var sum tray.Sum
	var page []ledger.TreeEntry
	flush := func() error {
		err := o.ledger.Update(ctx, func(tx *ledger.Tx) error { return tx.AddTree(m.UID, page) })
		page = page[:0]
		return err
	}
	h, err := from.of(m)
	if err != nil {
		return err
	}
	d, name, err := h.At(sourceAt(m))
	if err != nil {
		return err
	}
	err = tray.Walk(d, name, func(d *beneath.Dir, rel string, info beneath.Info) error {
		if err := h.MayDropInside(d, rel, info); err != nil { // it may have come since the claim
			return err
		}
		sum.Add(rel, info)
		page = append(page, ledger.TreeEntry{Path: path.Join(m.Name, rel), Dir: info.IsDir(),
			Source: sourceOf(info)})
		if len(page) < treePage {
			return nil
		}
		return flush()
	})
	if err != nil {
		return err
	}
	if !same(ledger.Source(sum.Source), m.Source) {
		return tray.ErrChanged
	}
	return flush()
}

// treeEntries yields a folder's entries in the order of their paths. Each file is opened only if it
// is still the one that was listed.
func (o *Outbox) treeEntries(ctx context.Context, from *sources,
	m ledger.Outgoing) iter.Seq2[envelope.Entry, error] {
	return func(yield func(envelope.Entry, error) bool) {
		after := ""
		for {
			var page []ledger.TreeEntry
			err := o.view(ctx, func(tx *ledger.Tx) (err error) {
				page,
					err = tx.Tree(m.UID, after, treePage)
				return err
			})
			if err != nil {
				yield(envelope.Entry{}, err)
				return
			}
			if len(page) == 0 {
				return
			}
			for _, e := range page {
				after = e.Path
				out := from.entry(m, e.Path, e.Source)
				if e.Dir {
					out.Dir, out.Size, out.Open = true, 0, nil
				}
				if !yield(out, nil) {
					return
				}
			}
		}
	}
}

// dropTree deletes the list of a folder's entries.
func (o *Outbox) dropTree(ctx context.Context, uid id.UID) error {
	for more := true; more; {
		err := o.ledger.Update(ctx, func(tx *ledger.Tx) (err error) {
			more,
				err = tx.DropTree(uid, dropPage)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// dropTrees deletes the lists of folders that are not compared any more.
func (o *Outbox) dropTrees(ctx context.Context, now time.Time) error {
	for after := id.UID(""); ; {
		isNeeded := false
		err := o.view(ctx, func(tx *ledger.Tx) (err error) {
			if after, err = tx.NextTree(after); err == nil && after != "" {
				isNeeded, err = needsTree(tx, after, now)
			}
			return err
		})
		if err != nil || after == "" {
			return err
		}
		if isNeeded {
			continue
		}
		if err := o.dropTree(ctx, after); err != nil {
			return err
		}
	}
}

// needsTree reports whether the list of a folder's entries may still be needed. The folder is not
// sent yet, or is compared with it.
func needsTree(tx *ledger.Tx, uid id.UID, now time.Time) (bool, error) {
	m, err := tx.Message(string(uid))
	switch {
	case errors.Is(err, ledger.ErrNotFound):
		return false, nil
	case err != nil, m.State == ledger.Withdrawn:
		return false, err
	case m.Finished.IsZero() || !m.Filed:
		return true, nil
	}
	followed, last := m.ID, m.FiledAt
	if m.Follows != "" {
		followed = m.Follows
	}
	list, err := tx.FollowUps(followed)
	if len(list) > 0 && list[0].Claimed.After(last) {
		last = list[0].Claimed
	}
	return now.Sub(last) < keepTrees, err
}
