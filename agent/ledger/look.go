package ledger

import (
	"database/sql"
	"strings"

	"sealpost/internal/id"
)

// Backlog is how many messages of a tray and an address are in one state that is not final.
type Backlog struct {
	Tray    string
	State   State
	Address string
	Count   int64
}

// Backlogs counts the messages that are not final, by tray, state and address. Final ones are only ever added, so they are
// not counted: that would take longer with every message.
func (tx *Tx) Backlogs() ([]Backlog, error) {
	var list []Backlog
	err := tx.rows("SELECT tray, state, address, COUNT(*) FROM "+byOpen+"TRUE GROUP BY state, address, tray", nil, func(rows *sql.Rows) error {
		var b Backlog
		err := rows.Scan(&b.Tray, &b.State, &b.Address, &b.Count)
		list = append(list, b)
		return err
	})
	return list, err
}

// UnfiledByTray counts the messages that are final but whose folder was not moved yet, as far as there are any.
func (tx *Tx) UnfiledByTray() (map[string]int64, error) {
	counts := map[string]int64{}
	err := tx.rows("SELECT tray, COUNT(*) FROM message WHERE filed = 0 AND state IN ('delivered','failed') GROUP BY tray", nil, func(rows *sql.Rows) error {
		var tray string
		var n int64
		err := rows.Scan(&tray, &n)
		counts[tray] = n
		return err
	})
	return counts, err
}

// LatestFinal lists the messages of a tray that ended last in delivered or failed, newest first.
func (tx *Tx) LatestFinal(tray string, state State, limit int) ([]Outgoing, error) {
	return tx.outgoing("tray = ? AND state = ? AND state IN ('delivered','failed') ORDER BY finished DESC LIMIT ?", tray, state, limit)
}

// Explained lists messages of a tray that wait for a reason of their own, the oldest first.
func (tx *Tx) Explained(tray string, limit int) ([]Outgoing, error) {
	return tx.outgoing("reason <> '' AND state IN ('claimed','taken') AND tray = ? ORDER BY seq LIMIT ?", tray, limit)
}

// like is the pattern of names that contain part, whatever is special in it.
func like(part string) string {
	return "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(part) + "%"
}

// FindSent lists messages whose file's name contains part, newest first, at most limit. It looks through span rows before
// the one with the number before, or through the newest for 0, and returns where to go on; 0 when there is nothing more. A
// name is not indexed, so that the span bounds how long one view lasts.
func (tx *Tx) FindSent(part string, before int64, span, limit int) (list []Outgoing, next int64, err error) {
	var newest sql.NullInt64
	if err := tx.row("SELECT MAX(seq) FROM message", nil, &newest); err != nil {
		return nil, 0, err
	}
	if before == 0 {
		before = newest.Int64 + 1
	}
	from := max(before-int64(span), 1)
	list, err = tx.outgoing(`seq >= ? AND seq < ? AND name LIKE ? ESCAPE '\' ORDER BY seq DESC LIMIT ?`, from, before, like(part), limit)
	if len(list) == limit {
		from = list[limit-1].Seq
	}
	if from <= 1 {
		return list, 0, err
	}
	return list, from, err
}

// ReceivedKey is where a search through received messages goes on.
type ReceivedKey struct {
	Sender id.Site
	UID    id.UID
}

// FindReceived lists messages whose file's name contains part, as the sender has it, or as it lies in the inbox, at most
// limit. It looks through span rows after the given one, and returns the last one; empty when there is nothing more.
func (tx *Tx) FindReceived(part string, after ReceivedKey, span, limit int) (list []Received, next ReceivedKey, err error) {
	last := ReceivedKey{}
	err = tx.row("SELECT sender, uid FROM received WHERE (sender, uid) > (?, ?) ORDER BY sender, uid LIMIT 1 OFFSET ?", []any{after.Sender, after.UID, span - 1}, &last.Sender, &last.UID)
	if err == ErrNotFound {
		last, err = ReceivedKey{}, nil
	}
	if err != nil {
		return nil, last, err
	}
	where, args := `(sender, uid) > (?, ?) AND (name LIKE ? ESCAPE '\' OR path LIKE ? ESCAPE '\')`, []any{after.Sender, after.UID, like(part), like(part)}
	if last != (ReceivedKey{}) {
		where, args = where+" AND (sender, uid) <= (?, ?)", append(args, last.Sender, last.UID)
	}
	list, err = tx.received(where+" ORDER BY sender, uid LIMIT ?", append(args, limit)...)
	if err == nil && len(list) == limit {
		last = ReceivedKey{list[limit-1].Sender, list[limit-1].UID}
	}
	return list, last, err
}
