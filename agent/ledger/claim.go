package ledger

import (
	"database/sql"
	"errors"
	"time"

	"sealpost/internal/id"
)

// Claiming says how a message gets its number and its identity.
type Claiming struct {
	Site     id.Site
	First    int64                 // number of a day
	Taken    func(id.Message) bool // a folder of that name exists
	Identify func(*Outgoing)       // sets uid and fingerprint key, once the message id is known
}

// Claim writes the row of a message with the next free number of its kind and day: the highest one ever used plus one, at
// least the first, and passing over numbers for which a folder exists.
func (tx *Tx) Claim(m *Outgoing, c Claiming) error {
	m.Day = m.Claimed.UTC().Format("20060102")
	var highest sql.NullInt64
	if err := tx.row("SELECT MAX(number) FROM message WHERE kind = ? AND day = ?", []any{m.Kind, m.Day}, &highest); err != nil {
		return err
	}
	m.Number = max(c.First, highest.Int64+1, tx.numbers.highest[numberKey(m.Kind, m.Day)]+1)
	for m.ID = id.FormatMessage(c.Site, m.Kind, m.Claimed, m.Number); c.Taken(m.ID); m.ID = id.FormatMessage(c.Site, m.Kind, m.Claimed, m.Number) {
		m.Number++
	}
	tx.numbers.use(m.Kind, m.Day, m.Number)
	c.Identify(m)
	return tx.insert(m)
}

// Adopt writes the row of a message that was claimed by a ledger that is gone, under its own id, and says whether there was
// none yet.
func (tx *Tx) Adopt(m *Outgoing) (bool, error) {
	if _, err := tx.Message(string(m.ID)); !errors.Is(err, ErrNotFound) {
		return false, err
	}
	tx.numbers.use(m.Kind, m.Day, m.Number)
	return true, tx.insert(m)
}

func (tx *Tx) insert(m *Outgoing) error {
	m.State = Claimed
	kind := "file"
	if m.Folder {
		kind = "folder"
	}
	return tx.row(`INSERT INTO message (uid, message_id, tray, kind, day, number, name, type, fingerprint_key, size, entries, mtime, file, executable, address, dir, claimed, due, state, reason)
		VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) RETURNING seq`,
		[]any{m.UID, m.ID, m.Tray, m.Kind, m.Day, m.Number, m.Name, kind, m.FingerprintKey[:], m.Source.Size, m.Source.Entries, m.Source.ModTime, m.Source.File, m.Source.Executable,
			m.Address, m.Dir, millis(m.Claimed), millis(m.Due), m.State, m.Reason}, &m.Seq)
}

// End ends a message whose folder is in its final place already, as a ledger that is gone had it.
func (tx *Tx) End(uid id.UID, state State, reason string, at time.Time) error {
	if err := tx.finish(uid, state, reason, at); err != nil {
		return err
	}
	return tx.Filed([]id.UID{uid})
}
