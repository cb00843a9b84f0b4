package ledger

import (
	"cmp"
	"database/sql"
	"slices"
	"strings"
	"time"
)

// Backlog is the number of messages of a tray and an address in one state that is not final.
type Backlog struct {
	Tray    string
	State   State
	Address string
	Count   int64
}

// Backlogs counts the messages that are not final, by tray, state and address. It does not count
// final ones: that would take longer with every message.
func (tx *Tx) Backlogs() ([]Backlog, error) {
	open, err := tx.backlogs("SELECT tray, state, address, COUNT(*) FROM " + byOpen +
		"TRUE GROUP BY state, address, tray")
	if err != nil {
		return nil, err
	}
	// A row is sealed even if the hub has its envelope (see stateNow). Few are not at the hub yet,
	// because sealing waits for them.
	sealed, err := tx.backlogs(`SELECT m.tray, 'sealed', m.address, COUNT(*) FROM envelope e ` +
		`INDEXED BY envelope_open CROSS JOIN message m INDEXED BY message_envelope
		WHERE e.state = 'sealed' AND e.state IN ('sealed','published') AND m.envelope_id <> '' ` +
		`AND m.envelope_id = e.envelope_id AND m.state = 'sealed' GROUP BY m.address, m.tray`)
	counts := map[Backlog]int64{}
	for _, b := range open {
		if b.State == Sealed {
			b.State = Published
		}
		counts[b.key()] += b.Count
	}
	for _, b := range sealed {
		counts[b.key()] = b.Count
		counts[Backlog{Tray: b.Tray, State: Published, Address: b.Address}] -= b.Count
	}
	var list []Backlog
	for b, n := range counts {
		if b.Count = n; n > 0 {
			list = append(list, b)
		}
	}
	slices.SortFunc(list, func(a, b Backlog) int {
		return cmp.Or(strings.Compare(string(a.State), string(b.State)),
			strings.Compare(a.Address, b.Address), strings.Compare(a.Tray, b.Tray))
	})
	return list, err
}

// key returns the backlog without its count.
func (b Backlog) key() Backlog { return Backlog{Tray: b.Tray, State: b.State, Address: b.Address} }

func (tx *Tx) backlogs(query string) (list []Backlog, err error) {
	err = tx.rows(query, nil, func(rows *sql.Rows) error {
		var b Backlog
		err := rows.Scan(&b.Tray, &b.State, &b.Address, &b.Count)
		list = append(list, b)
		return err
	})
	return list, err
}

// LastUnderWay returns the claim time of a tray's newest message that is taken and not filed. It is
// zero if there is none.
func (tx *Tx) LastUnderWay(tray string) (claimed time.Time, err error) {
	var at sql.NullInt64
	err = tx.row(`SELECT MAX(claimed) FROM message WHERE seq IN (
		SELECT MAX(seq) FROM `+byOpen+`state IN ('taken','sealed','published') AND tray = ?1 `+
		`UNION ALL SELECT MAX(seq) FROM `+byUnfiled+`AND tray = ?1)`, []any{tray}, &at)
	return fromMillis(at.Int64), err
}

// UnderWay lists messages with a file in a tray's folder sending or outbox. They are the latest of
// each state, at most limit of each.
func (tx *Tx) UnderWay(tray string, limit int) (list []Outgoing, err error) {
	for _, state := range []State{Claimed, Taken, Sealed, Published} {
		part, err := tx.outgoingFrom(byOpen+"state = ? AND tray = ? ORDER BY seq DESC LIMIT ?",
			state, tray, limit)
		if err != nil {
			return nil, err
		}
		list = append(list, part...)
	}
	unfiled, err := tx.Unfiled(tray, 0, limit)
	return append(list, unfiled...), err
}

// UnfiledByTray counts the final messages whose folder is not moved yet, for trays with any.
func (tx *Tx) UnfiledByTray() (map[string]int64, error) {
	counts := map[string]int64{}
	err := tx.rows("SELECT tray, COUNT(*) FROM message WHERE filed = 0 "+
		"AND state IN ('delivered','failed') GROUP BY tray", nil, func(rows *sql.Rows) error {
		var tray string
		var n int64
		err := rows.Scan(&tray, &n)
		counts[tray] = n
		return err
	})
	return counts, err
}

// LatestFinal lists the latest delivered or failed messages of a tray, newest first.
func (tx *Tx) LatestFinal(tray string, state State, limit int) ([]Outgoing, error) {
	return tx.outgoing("tray = ? AND state = ? AND state IN ('delivered','failed') "+
		"ORDER BY finished DESC LIMIT ?", tray, state, limit)
}

// Explained lists waiting messages of a tray with their own reason, oldest first.
func (tx *Tx) Explained(tray string, limit int) ([]Outgoing, error) {
	return tx.outgoing("reason <> '' AND state IN ('claimed','taken') AND tray = ? "+
		"ORDER BY seq LIMIT ?", tray, limit)
}

// Unanswered lists messages of a tray at the hub without answers of all recipients, oldest first.
// It reads only the first few of each address.
func (tx *Tx) Unanswered(tray string, limit int) ([]Outgoing, error) {
	var oldest []int64
	for _, at := range []struct{ state, hub string }{
		{"state = 'sealed' AND ", "EXISTS (SELECT 1 FROM envelope e WHERE e.envelope_id = " +
			"message.envelope_id AND e.state = 'published') AND "}, // see stateNow
		{"state = 'published' AND ", ""}, // written by an earlier version
	} {
		for address := ""; ; {
			var next sql.NullString
			if err := tx.row("SELECT MIN(address) FROM "+byOpen+at.state+"address > ?",
				[]any{address}, &next); err != nil {
				return nil, err
			}
			if !next.Valid {
				break
			}
			address = next.String
			err := tx.rows("SELECT seq FROM "+byOpen+at.state+at.hub+
				"address = ? AND tray = ? ORDER BY seq LIMIT ?", []any{address, tray, limit},
				func(rows *sql.Rows) error {
					var seq int64
					err := rows.Scan(&seq)
					oldest = append(oldest, seq)
					return err
				})
			if err != nil {
				return nil, err
			}
		}
	}
	return tx.outgoing("seq IN (SELECT value FROM json_each(?)) ORDER BY seq LIMIT ?", list(oldest),
		limit)
}

// like returns the pattern of names that contain part, with special characters escaped.
func like(part string) string {
	return "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(part) + "%"
}

// FindSent lists messages with part in the file's name, newest first, at most limit. It reads span
// rows before the row with the number before, or the newest rows for 0. It returns the number to
// continue from, or 0 at the end. Names have no index, so span limits the time of one view.
func (tx *Tx) FindSent(part string, before int64,
	span, limit int) (list []Outgoing, next int64, err error) {
	from, before, err := tx.span("SELECT MAX(seq) FROM message", before, span)
	if err != nil {
		return nil, 0, err
	}
	list, err = tx.outgoing(`seq >= ? AND seq < ? AND name LIKE ? ESCAPE '\' `+
		`ORDER BY seq DESC LIMIT ?`, from, before, like(part), limit)
	if len(list) == limit {
		from = list[limit-1].Seq
	}
	return list, rest(from), err
}

// FindReceived is FindSent for received messages, by their name at the sender or in the inbox.
func (tx *Tx) FindReceived(part string, before int64,
	span, limit int) (list []Received, next int64, err error) {
	from, before, err := tx.span("SELECT MAX(seq) FROM received", before, span)
	if err != nil {
		return nil, 0, err
	}
	list, err = tx.received(`seq >= ? AND seq < ? AND (name LIKE ? ESCAPE '\' `+
		`OR path LIKE ? ESCAPE '\') ORDER BY seq DESC LIMIT ?`,
		from, before, like(part), like(part), limit)
	if len(list) == limit {
		from = list[limit-1].Seq
	}
	return list, rest(from), err
}

// span returns the range of row numbers for one view, from and up to but without to.
func (tx *Tx) span(newest string, before int64, span int) (from, to int64, err error) {
	var last sql.NullInt64
	if err := tx.row(newest, nil, &last); err != nil {
		return 0, 0, err
	}
	if before == 0 {
		before = last.Int64 + 1
	}
	return max(before-int64(span), 1), before, nil
}

// rest returns the number to continue a search from, after one down to from.
func rest(from int64) int64 {
	if from <= 1 {
		return 0
	}
	return from
}
