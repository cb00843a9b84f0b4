package outbox

import (
	"context"
	"io/fs"
	"strconv"
	"time"

	"sealpost/agent/ledger"
	"sealpost/agent/tray"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// A ledger may be lost, or an older copy of it may be put back. Then it does not know all that was
// sent, and a tray that leaves repeats does not take files of before.

const (
	// olderKey is the setting for Outbox.older.
	olderKey = "older"
	// lostKey is the setting for Outbox.lost; "0": the ledger is the first one, and complete.
	lostKey = "lost-at"
	// seenKey begins the settings with the unknown messages in delivered/ that are considered.
	seenKey = "lost-delivered/"
)

// findOlder finds the rows of an older copy of the ledger, and the time of its loss.
func (o *Outbox) findOlder(ctx context.Context) error {
	return o.ledger.Update(ctx, func(tx *ledger.Tx) error {
		value, err := tx.Setting(olderKey)
		if err != nil {
			return err
		}
		o.older, _ = strconv.ParseInt(value, 10, 64) //nolint:errcheck // unset: there are none
		if o.isOlder, err = tx.IsOlder(o.site); err != nil {
			return err
		}
		latest, err := tx.Latest(1)
		if err == nil {
			err = o.findLoss(tx, len(latest))
		}
		if err != nil || !o.isOlder || len(latest) == 0 || latest[0].Seq <= o.older {
			return err
		}
		o.older = latest[0].Seq
		return tx.Set(olderKey, strconv.FormatInt(o.older, 10))
	})
}

// findLoss reads or sets the time at which the ledger was lost, or became an older copy. A crash at
// the first claim ever leaves an empty ledger too, which has the setting. One at a later claim
// leaves no number without a row that was committed.
func (o *Outbox) findLoss(tx *ledger.Tx, rows int) error {
	value, err := tx.Setting(lostKey)
	if err != nil {
		return err
	}
	misses, err := tx.MissesCommits(o.site)
	switch {
	case err != nil:
		return err
	case misses, rows > 0 && o.ledger.Recalled() > 0, value == "" && o.isOlder && rows == 0:
		return o.setLost(tx)
	case value == "":
		return tx.Set(lostKey, "0")
	}
	at, err := strconv.ParseInt(value, 10, 64)
	o.lost.Store(at)
	return err
}

// setLost records that the ledger does not know all that was sent before.
func (o *Outbox) setLost(tx *ledger.Tx) error {
	now := time.Now()
	o.log.Warn("the ledger lacks messages that were sent: trays that leave repeats take no file " +
		"of before")
	o.lost.Store(now.UnixMilli())
	return tx.Set(lostKey, strconv.FormatInt(now.UnixMilli(), 10))
}

// lostAt returns the time before which the ledger may not know all that was sent; zero: none.
func (o *Outbox) lostAt() time.Time {
	if at := o.lost.Load(); at > 0 {
		return time.UnixMilli(at)
	}
	return time.Time{}
}

// findDelivered finds an older copy of the ledger by the newest message in delivered/. The other
// memories may have been put back with it.
func (t *box) findDelivered(ctx context.Context, h *handles) error {
	d, err := h.Dir(tray.DeliveredPart)
	if err != nil || !t.LeavesRepeats {
		return nil //nolint:nilerr // the sweep reports it
	}
	var newest ledger.Outgoing
	d.Each(func(entries []fs.DirEntry) error { //nolint:errcheck // the same
		for _, e := range entries {
			message, site, err := id.ParseMessage(e.Name())
			last := int64(0)
			if err != nil {
				message, site, _, last, err = id.ParseGroup(e.Name())
			}
			if err != nil || site != t.o.site {
				continue
			}
			m := t.claimOf(message)
			m.Number = max(m.Number, last)
			if isClaimable(m) && m.Number < ledger.MaxShown && (m.Day > newest.Day ||
				m.Day == newest.Day && m.Number > newest.Number) {
				newest = m
			}
		}
		return ctx.Err()
	})
	if newest.Day == "" {
		return ctx.Err()
	}
	return t.ledger.Update(ctx, func(tx *ledger.Tx) error {
		seen, err := tx.Setting(seenKey + t.Name)
		if err != nil {
			return err
		}
		unknown, err := tx.IsUnknown(t.o.site, newest)
		name := newest.Day + newest.Kind + strconv.FormatInt(newest.Number, 10)
		if err != nil || !unknown || seen == name {
			return err
		}
		if err := t.o.setLost(tx); err != nil {
			return err
		}
		return tx.Set(seenKey+t.Name, name)
	})
}

// endedBefore returns the final state of a message that another copy of the ledger has ended, or
// none. The message lies in the folder of that state. It looks only for rows that a lost or older
// ledger may have: other accounts can put any file into these folders.
func (h *handles) endedBefore(m ledger.Outgoing) ledger.State {
	if m.Reason.Code != reason.LedgerLost && m.Seq > h.t.o.older {
		return ""
	}
	for _, state := range []ledger.State{ledger.Delivered, ledger.Failed} {
		m.State = state
		if h.Exists(placeAt(m) + "/" + m.Name) {
			return state
		}
	}
	return ""
}
