package ledger

import (
	"database/sql"
	"encoding/json"
	"strconv"
	"time"

	"sealpost/internal/reason"
)

// Removal is the end of the content of a delivered message in its tray.
type Removal struct {
	Seq  int64
	Time time.Time     // of the removal, or of the last look
	Kept reason.Reason // why it still lies there; none: it is removed
}

// Removal returns the removal of a message's content, or ErrNotFound.
func (tx *Tx) Removal(seq int64) (Removal, error) {
	r := Removal{Seq: seq}
	var at int64
	err := tx.row("SELECT time, kept FROM removal WHERE seq = ?", []any{seq}, &at,
		(*column)(&r.Kept))
	r.Time = fromMillis(at)
	return r, err
}

// SetRemovals records the removals of messages of a tray. Messages up to last are not listed again
// by Removable.
func (tx *Tx) SetRemovals(tray string, last int64, removals []Removal) error {
	type row struct {
		Seq, Time int64
		Kept      string
	}
	rows := make([]row, len(removals))
	for i, r := range removals {
		rows[i] = row{r.Seq, millis(r.Time), stored(r.Kept)}
	}
	text, err := json.Marshal(rows)
	if err != nil {
		return err
	}
	if err := tx.exec("INSERT INTO removal (seq, tray, time, kept) SELECT value->>'Seq', ?, "+
		"value->>'Time', value->>'Kept' FROM json_each(?) WHERE TRUE "+
		"ON CONFLICT DO UPDATE SET time = excluded.time, kept = excluded.kept", tray,
		string(text)); err != nil || last == 0 {
		return err
	}
	return tx.Set(removalKey+tray, strconv.FormatInt(last, 10))
}

// DropRemoval deletes the removal of a message whose content was taken away by a user.
func (tx *Tx) DropRemoval(seq int64) error {
	return tx.exec("DELETE FROM removal WHERE seq = ?", seq)
}

// removalKey begins the keys of the settings with the last message that Removable has listed.
const removalKey = "removal/"

// Removable lists the next messages of a tray that were claimed before a time, by their claims. It
// returns the last of them for SetRemovals, after which the next call begins; 0: there are none.
func (tx *Tx) Removable(tray string, before time.Time,
	limit int) (list []Outgoing, last int64, err error) {
	text, err := tx.Setting(removalKey + tray)
	if err != nil {
		return nil, 0, err
	}
	after, _ := strconv.ParseInt(text, 10, 64) //nolint:errcheck // unset: from the first one on
	var end sql.NullInt64                      // the first message that is too young
	err = tx.row("SELECT MIN(seq) FROM (SELECT seq, claimed FROM message WHERE seq > ? "+
		"ORDER BY seq LIMIT ?) WHERE claimed >= ?", []any{after, limit, millis(before)}, &end)
	if err != nil {
		return nil, 0, err
	}
	var newest sql.NullInt64
	if err = tx.row("SELECT MAX(seq) FROM (SELECT seq FROM message WHERE seq > ? "+
		"ORDER BY seq LIMIT ?)", []any{after, limit}, &newest); err != nil {
		return nil, 0, err
	}
	last = newest.Int64
	if end.Valid {
		last = end.Int64 - 1
	}
	if last <= after {
		return nil, 0, nil
	}
	list, err = tx.outgoing("seq > ? AND seq <= ? AND tray = ? ORDER BY seq", after, last, tray)
	return list, last, err
}

// KeptBack lists messages of a tray whose content was kept at a look before a time, at most limit.
func (tx *Tx) KeptBack(tray string, before time.Time, limit int) ([]Outgoing, error) {
	return tx.outgoing("seq IN (SELECT seq FROM removal INDEXED BY removal_kept WHERE kept <> '' "+
		"AND tray = ? AND time < ? ORDER BY time LIMIT ?)", tray, millis(before), limit)
}
