package ledger

import (
	"cmp"
	"database/sql"
	"errors"
	"iter"
	"strings"
	"time"

	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// Claiming has the rules for the number and the identity of a message.
type Claiming struct {
	Site  id.Site
	First int64 // the lowest number to use
	// sizes of the groups of consecutive messages that share a folder; the others share none
	Together []int
	Identify func(*Outgoing) // sets uid and fingerprint key, after the message id
}

// Claim writes the rows of messages, in their order. Each gets the next number of its kind and day:
// the highest one ever used plus one, and at least First.
func (tx *Tx) Claim(list []Outgoing, c Claiming) error {
	for i := range list {
		m := &list[i]
		m.Day = m.Claimed.UTC().Format("20060102")
		highest, err := tx.highest(c.Site, m)
		if err != nil {
			return err
		}
		m.Number = max(c.First, highest+1)
		m.ID = id.FormatMessage(c.Site, m.Kind, m.Claimed, m.Number)
		tx.numbers.assign(m.Kind, m.Day, m.Number)
		c.Identify(m)
	}
	share(list, c.Together)
	return tx.insert(list)
}

// share sets the groups of messages, if their numbers are consecutive.
func share(list []Outgoing, sizes []int) {
	for _, n := range sizes {
		group := Group{list[0].Number, list[n-1].Number}
		for i := range list[:n] {
			if n > 1 && group.Size() == int64(n) {
				list[i].Group = group
			}
		}
		list = list[n:]
	}
}

// highest returns the highest number of a message's kind and day. It reads the ledger once for
// each: only the writer assigns numbers, and it remembers them.
func (tx *Tx) highest(site id.Site, m *Outgoing) (int64, error) {
	key := numberKey(m.Kind, m.Day)
	if !tx.numbers.asked[key] {
		prefix := id.MessagePrefix(site, m.Kind, m.Claimed)
		var highest sql.NullInt64
		err := tx.row("SELECT MAX(CAST(substr(message_id, ?) AS INTEGER)) FROM message "+
			"WHERE message_id >= ? AND message_id < ?",
			[]any{len(prefix) + 1, prefix, prefix + "~"}, &highest)
		if err != nil {
			return 0, err
		}
		used, err := tx.highestUsed(m.Kind, m.Day)
		if err != nil {
			return 0, err
		}
		tx.numbers.asked[key] = true
		tx.numbers.use(m.Kind, m.Day, max(highest.Int64, used, tx.numbers.floor(m.Day)))
	}
	return tx.numbers.highest[key], nil
}

// ErrForgotten means that a message has ended, and that its row was deleted.
var ErrForgotten = errors.New("message forgotten")

// Adopt writes the row of a message from a lost ledger, under its own id. It reports whether the
// row is new. It returns ErrForgotten if this ledger had the row.
func (tx *Tx) Adopt(m *Outgoing) (bool, error) {
	if _, err := tx.Message(string(m.ID)); !errors.Is(err, ErrNotFound) {
		return false, err
	}
	if forgotten, err := tx.IsForgotten(m.Kind, m.Day, m.Number); err != nil || forgotten {
		return false, cmp.Or(err, ErrForgotten)
	}
	tx.numbers.assign(m.Kind, m.Day, m.Number)
	list := []Outgoing{*m}
	err := tx.insert(list)
	*m = list[0]
	return true, err
}

// AdoptFailed writes the row of a failed message from a lost ledger, with its envelope and its
// outcomes. It reports whether the row is new.
func (tx *Tx) AdoptFailed(m Outgoing, e Envelope, outcomes []Outcome) (bool, error) {
	failed := m
	added, err := tx.Adopt(&m)
	if err != nil || !added {
		return false, err
	}
	err = tx.exec("INSERT OR IGNORE INTO envelope (envelope_id, address, route_version, size, "+
		"crc32c, file, state, incarnation, sequence, sealed, published) "+
		"VALUES (?,?,?,?,'[]','',?,?,?,?,?)", e.ID, e.Address, e.RouteVersion, e.Size,
		EnvelopeFinal, e.Incarnation, e.Sequence, millis(e.Sealed), millis(e.Published))
	for _, r := range e.Recipients {
		if err == nil {
			err = tx.exec("INSERT OR IGNORE INTO recipient (envelope_id, site, key) "+
				"VALUES (?,?,?)", e.ID, r.Site, r.Key)
		}
	}
	for _, o := range outcomes {
		if err == nil {
			err = tx.exec("INSERT OR IGNORE INTO outcome (uid, site, outcome, code, time) "+
				"VALUES (?,?,?,?,?)", m.UID, o.Site, o.Outcome, o.Code, millis(o.Time))
		}
	}
	if err != nil {
		return false, err
	}
	return true, tx.exec("UPDATE message SET state = 'failed', filed = 1, filed_at = ?, "+
		"finished = ?, reason = ?, digest = ?, envelope_id = ? WHERE uid = ?",
		max(millis(failed.FiledAt), millis(failed.Finished)), millis(failed.Finished),
		stored(failed.Reason), failed.Digest, e.ID, m.UID)
}

// insertRows is the number of rows in a statement for many rows.
const insertRows = 16

// chunks splits rows into groups of insertRows or one, so that there are only two statements.
func chunks[T any](rows []T) iter.Seq[[]T] {
	return func(yield func([]T) bool) {
		for n := 0; len(rows) > 0; rows = rows[n:] {
			n = 1
			if len(rows) >= insertRows {
				n = insertRows
			}
			if !yield(rows[:n]) {
				return
			}
		}
	}
}

// insert writes the rows of messages, and sets their sequence numbers.
func (tx *Tx) insert(list []Outgoing) error {
	const columns = 22
	for rows := range chunks(list) {
		args := make([]any, 0, len(rows)*columns)
		for i := range rows {
			m := &rows[i]
			m.State = Claimed
			kind := "file"
			if m.Folder {
				kind = "folder"
			}
			args = append(args, m.UID, m.ID, m.Tray, m.Kind, m.Day, m.Number, m.Group.First,
				m.Group.Last, m.Name, kind, m.FingerprintKey[:], m.Source.Size, m.Source.Entries,
				m.Source.ModTime, m.Source.File, m.Source.Executable, m.Address, m.Dir,
				millis(m.Claimed), millis(m.Due), m.State, stored(m.Reason))
		}
		res, err := tx.do(`INSERT INTO message (uid, message_id, tray, kind, day, number, `+
			`group_first, group_last, name, type, fingerprint_key, size, entries, mtime, file, `+
			`executable, address, dir, claimed, due, state, reason)
			VALUES `+values(len(rows), columns), args...)
		if err != nil {
			return err
		}
		last, err := res.LastInsertId()
		if err != nil {
			return err
		}
		for i := range rows {
			// AUTOINCREMENT counts by one, and there is only one writer
			rows[i].Seq = last - int64(len(rows)-1-i)
		}
	}
	return nil
}

// values returns the parameters of n rows.
func values(n, columns int) string {
	row := "(?" + strings.Repeat(",?", columns-1) + ")"
	return row + strings.Repeat(","+row, n-1)
}

// End ends a message from a lost ledger whose folder is already in its final place.
func (tx *Tx) End(uid id.UID, state State, why reason.Reason, at time.Time) error {
	if err := tx.finish(uid, state, why, at); err != nil {
		return err
	}
	return tx.exec("UPDATE message SET filed = 1 WHERE uid = ?", uid)
}
