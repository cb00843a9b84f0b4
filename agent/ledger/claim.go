package ledger

import (
	"database/sql"
	"errors"
	"iter"
	"strings"
	"time"

	"sealpost/internal/id"
)

// Claiming says how a message gets its number and its identity.
type Claiming struct {
	Site     id.Site
	First    int64           // number to be given
	Together []int           // how many messages, one after the other, share a folder; what is beyond shares none
	Identify func(*Outgoing) // sets uid and fingerprint key, once the message id is known
}

// Claim writes the rows of messages, in their order, each with the next number of its kind and day: the highest one ever
// used plus one, and at least the first.
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
		tx.numbers.use(m.Kind, m.Day, m.Number)
		c.Identify(m)
	}
	share(list, c.Together)
	return tx.insert(list)
}

// share makes groups of messages, where their numbers follow each other.
func share(list []Outgoing, together []int) {
	for _, n := range together {
		group := Group{list[0].Number, list[n-1].Number}
		for i := range list[:n] {
			if n > 1 && group.Size() == int64(n) {
				list[i].Group = group
			}
		}
		list = list[n:]
	}
}

// highest is the highest number of a message's kind and day. The ledger is asked for it once; the writer is the only one who
// gives numbers, and remembers them.
func (tx *Tx) highest(site id.Site, m *Outgoing) (int64, error) {
	key := numberKey(m.Kind, m.Day)
	if !tx.numbers.asked[key] {
		prefix := id.MessagePrefix(site, m.Kind, m.Claimed)
		var highest sql.NullInt64
		err := tx.row("SELECT MAX(CAST(substr(message_id, ?) AS INTEGER)) FROM message WHERE message_id >= ? AND message_id < ?",
			[]any{len(prefix) + 1, prefix, prefix + "~"}, &highest)
		if err != nil {
			return 0, err
		}
		tx.numbers.asked[key] = true
		tx.numbers.use(m.Kind, m.Day, highest.Int64)
	}
	return tx.numbers.highest[key], nil
}

// Adopt writes the row of a message that was claimed by a ledger that is gone, under its own id, and says whether there was
// none yet.
func (tx *Tx) Adopt(m *Outgoing) (bool, error) {
	if _, err := tx.Message(string(m.ID)); !errors.Is(err, ErrNotFound) {
		return false, err
	}
	tx.numbers.use(m.Kind, m.Day, m.Number)
	list := []Outgoing{*m}
	err := tx.insert(list)
	*m = list[0]
	return true, err
}

// insertRows is how many rows one statement writes, where there are as many.
const insertRows = 16

// together cuts rows into those that one statement writes. There are two lengths of them, so that there are two statements.
func together[T any](rows []T) iter.Seq[[]T] {
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

func (tx *Tx) insert(list []Outgoing) error {
	const columns = 22
	for rows := range together(list) {
		args := make([]any, 0, len(rows)*columns)
		for i := range rows {
			m := &rows[i]
			m.State = Claimed
			kind := "file"
			if m.Folder {
				kind = "folder"
			}
			args = append(args, m.UID, m.ID, m.Tray, m.Kind, m.Day, m.Number, m.Group.First, m.Group.Last, m.Name, kind, m.FingerprintKey[:], m.Source.Size, m.Source.Entries, m.Source.ModTime, m.Source.File,
				m.Source.Executable, m.Address, m.Dir, millis(m.Claimed), millis(m.Due), m.State, m.Reason)
		}
		res, err := tx.do(`INSERT INTO message (uid, message_id, tray, kind, day, number, group_first, group_last, name, type, fingerprint_key, size, entries, mtime, file, executable, address, dir, claimed, due, state, reason)
			VALUES `+values(len(rows), columns), args...)
		if err != nil {
			return err
		}
		last, err := res.LastInsertId()
		if err != nil {
			return err
		}
		for i := range rows {
			rows[i].Seq = last - int64(len(rows)-1-i) // AUTOINCREMENT counts by one, and there is one writer
		}
	}
	return nil
}

// values are the parameters of n rows.
func values(n, columns int) string {
	row := "(?" + strings.Repeat(",?", columns-1) + ")"
	return row + strings.Repeat(","+row, n-1)
}

// End ends a message whose folder is in its final place already, as a ledger that is gone had it.
func (tx *Tx) End(uid id.UID, state State, reason string, at time.Time) error {
	if err := tx.finish(uid, state, reason, at); err != nil {
		return err
	}
	return tx.exec("UPDATE message SET filed = 1 WHERE uid = ?", uid)
}
