package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"sealpost/internal/id"
)

// Forgotten counts the rows that Forget has deleted.
type Forgotten struct{ Sent, Envelopes, Received, Deliveries int64 }

const (
	// forgetGroup is the number of rows that one update deletes: others wait for it.
	forgetGroup = 64
	// giveBack is the number of free pages that one update returns to the disk. Up to keepFree, and
	// up to a tenth of the file, they stay for new rows.
	giveBack = 64
	keepFree = 1024
)

// historyKey is the setting with the time from which on the rows are complete.
const historyKey = "history"

// Forget deletes the rows of messages that ended before a time, and of their envelopes. It does so
// in small updates, and calls rest with the duration of each before the next. These stay:
//
//   - messages that are not filed, or wait for an answer, with all that share their folder
//   - the identity of each received message, in the table known: it never arrives a second time
//   - the highest number of each kind and day, in the table used: it is never assigned again
func (l *Ledger) Forget(ctx context.Context, before time.Time,
	rest func(time.Duration) error) (n Forgotten, err error) {
	trays, err := l.endedTrays(ctx)
	if err != nil {
		return n, err
	}
	passes := []pass{
		{&n.Sent, repeated(func(tx *Tx) (int64, error) { return tx.forgetWithdrawn(before) })},
		{&n.Envelopes, repeated(func(tx *Tx) (int64, error) { return tx.forgetDropped(before) })},
		{&n.Received, func(tx *Tx, from place) (place, int64, error) {
			return tx.forgetReceived(before, from)
		}},
		{&n.Deliveries, func(tx *Tx, from place) (place, int64, error) {
			return tx.forgetLeased(before, from)
		}},
	}
	for _, tray := range trays {
		for _, state := range []State{Delivered, Failed} {
			passes = append(passes, pass{&n.Sent, func(tx *Tx, from place) (place, int64, error) {
				return tx.forgetSent(tray, state, before, from)
			}})
		}
	}
	for _, p := range passes {
		if err := l.forget(ctx, p, before, rest); err != nil {
			return n, err
		}
	}
	return n, l.forget(ctx, pass{new(int64), repeated((*Tx).shrink)}, time.Time{}, rest)
}

// pass deletes rows of one sort. Its step deletes the next rows behind a place, and returns the
// place to continue behind, or the zero place at the end.
type pass struct {
	count *int64
	step  func(tx *Tx, from place) (next place, deleted int64, err error)
}

// place is a place in an index by times.
type place struct{ time, seq int64 }

// repeated returns a step that begins at the same place until it finds no more rows.
func repeated(step func(*Tx) (int64, error)) func(*Tx, place) (place, int64, error) {
	return func(tx *Tx, from place) (place, int64, error) {
		deleted, err := step(tx)
		if deleted == 0 {
			from = place{}
		}
		return from, deleted, err
	}
}

// forget runs all steps of a pass.
func (l *Ledger) forget(ctx context.Context, p pass, before time.Time,
	rest func(time.Duration) error) error {
	for from := (place{0, math.MaxInt64}); from != (place{}); {
		var deleted int64
		begun, at := time.Now(), from
		err := l.Update(ctx, func(tx *Tx) (err error) {
			if from, deleted, err = p.step(tx, at); err == nil && deleted > 0 {
				err = tx.noteHistory(before)
			}
			return err
		})
		if *p.count += deleted; err == nil && from != (place{}) {
			err = rest(time.Since(begun))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// History returns the time from which on the ledger has the rows of all ended messages. It is zero
// if none were deleted.
func (tx *Tx) History() (time.Time, error) {
	var since int64
	err := tx.row("SELECT CAST(value AS INTEGER) FROM setting WHERE key = '"+historyKey+"'", nil,
		&since)
	if err == ErrNotFound {
		return time.Time{}, nil
	}
	return fromMillis(since), err
}

// noteHistory records that rows from before a time are deleted.
func (tx *Tx) noteHistory(before time.Time) error {
	return tx.exec("INSERT INTO setting (key, value) VALUES ('"+historyKey+"', ?) "+
		"ON CONFLICT DO UPDATE SET value = excluded.value "+
		"WHERE CAST(value AS INTEGER) < CAST(excluded.value AS INTEGER)", millis(before))
}

// endedTrays lists the trays with ended messages.
func (l *Ledger) endedTrays(ctx context.Context) (trays []string, err error) {
	err = l.View(ctx, func(tx *Tx) error {
		for last := ""; ; {
			var next sql.NullString
			if err := tx.row("SELECT MIN(tray) FROM message INDEXED BY message_ended "+
				"WHERE state IN ('delivered','failed') AND tray > ?", []any{last},
				&next); err != nil || !next.Valid {
				return err
			}
			last = next.String
			trays = append(trays, last)
		}
	})
	return trays, err
}

// forgetSent deletes the next ended messages of a tray.
func (tx *Tx) forgetSent(tray string, state State, before time.Time,
	from place) (next place, deleted int64, err error) {
	var list []Outgoing
	// finished is a time of the hub, which must not make a message old that is young here
	err = tx.rows("SELECT seq, uid, message_id, kind, day, number, group_first, group_last, "+
		"finished FROM message INDEXED BY message_ended WHERE state IN ('delivered','failed') "+
		"AND state = '"+string(state)+"' AND tray = ?1 AND finished < ?2 "+
		"AND (finished, seq) > (?3, ?4) AND filed = 1 AND max(claimed, filed_at) < ?2 "+
		"ORDER BY finished, seq LIMIT ?5",
		[]any{tray, millis(before), from.time, from.seq, forgetGroup},
		func(rows *sql.Rows) error {
			m, finished := Outgoing{Tray: tray}, int64(0)
			err := rows.Scan(&m.Seq, &m.UID, &m.ID, &m.Kind, &m.Day, &m.Number, &m.Group.First,
				&m.Group.Last, &finished)
			list = append(list, m)
			next = place{finished, m.Seq}
			return err
		})
	if len(list) < forgetGroup {
		next = place{}
	}
	if err != nil {
		return next, 0, err
	}
	if list, err = tx.withoutOpen(list); err != nil {
		return next, 0, err
	}
	return next, int64(len(list)), tx.forgetMessages(list)
}

// withoutOpen leaves out messages that share their folder with one under way, and requeued ones.
func (tx *Tx) withoutOpen(list []Outgoing) (ended []Outgoing, err error) {
	type folder struct {
		kind, day string
		group     Group
	}
	open := map[folder]bool{}
	for _, m := range list {
		at := folder{m.Kind, m.Day, m.Group}
		isOpen, known := open[at]
		if !known && m.Group != (Group{}) {
			first := m.Seq - (m.Number - m.Group.First) // rows of a claim are consecutive
			if err := tx.row("SELECT EXISTS (SELECT 1 FROM message WHERE seq >= ? AND seq < ? "+
				"AND group_first = ? AND kind = ? AND filed = 0 AND state <> 'withdrawn')",
				[]any{first, first + m.Group.Size(), m.Group.First, m.Kind}, &isOpen); err != nil {
				return nil, err
			}
			open[at] = isOpen
		}
		if !isOpen {
			if err := tx.row("SELECT EXISTS (SELECT 1 FROM outcome WHERE uid = ? AND code = ?)",
				[]any{m.UID, CodeRequeued}, &isOpen); err != nil {
				return nil, err
			}
		}
		if !isOpen {
			ended = append(ended, m)
		}
	}
	return ended, nil
}

// forgetWithdrawn deletes messages whose file was missing before it was taken.
func (tx *Tx) forgetWithdrawn(before time.Time) (deleted int64, err error) {
	var list []Outgoing
	err = tx.rows("SELECT seq, uid, kind, day, number FROM message INDEXED BY message_withdrawn "+
		"WHERE state = 'withdrawn' AND claimed < ? LIMIT ?", []any{millis(before), forgetGroup},
		func(rows *sql.Rows) error {
			var m Outgoing
			err := rows.Scan(&m.Seq, &m.UID, &m.Kind, &m.Day, &m.Number)
			list = append(list, m)
			return err
		})
	if err != nil {
		return 0, err
	}
	return int64(len(list)), tx.forgetMessages(list)
}

// forgetMessages deletes messages with their answers, and envelopes that no message needs any more.
func (tx *Tx) forgetMessages(list []Outgoing) error {
	if len(list) == 0 {
		return nil
	}
	type row struct {
		Seq       int64
		UID       id.UID
		Day, Kind string
		Number    int64
	}
	rows := make([]row, len(list))
	for i, m := range list {
		rows[i] = row{m.Seq, m.UID, m.Day, m.Kind, m.Number}
	}
	text, err := json.Marshal(rows)
	if err != nil {
		return err
	}
	var envelopes []id.Envelope
	err = tx.rows("SELECT envelope_id FROM message WHERE envelope_id <> '' AND seq IN "+
		"(SELECT value->>'Seq' FROM json_each(?1)) UNION SELECT envelope_id FROM earlier "+
		"WHERE uid IN (SELECT value->>'UID' FROM json_each(?1))", []any{string(text)},
		func(rows *sql.Rows) error {
			var e id.Envelope
			err := rows.Scan(&e)
			envelopes = append(envelopes, e)
			return err
		})
	for _, query := range []string{
		"INSERT INTO used (day, kind, number) SELECT value->>'Day', value->>'Kind', " +
			"MAX(value->>'Number') FROM json_each(?) WHERE TRUE GROUP BY 1, 2 " +
			"ON CONFLICT DO UPDATE SET number = max(number, excluded.number)",
		"DELETE FROM outcome WHERE uid IN (SELECT value->>'UID' FROM json_each(?))",
		"DELETE FROM earlier WHERE uid IN (SELECT value->>'UID' FROM json_each(?))",
		"DELETE FROM removal WHERE seq IN (SELECT value->>'Seq' FROM json_each(?))",
		"DELETE FROM message WHERE seq IN (SELECT value->>'Seq' FROM json_each(?))",
	} {
		if err == nil {
			err = tx.exec(query, string(text))
		}
	}
	if err != nil {
		return err
	}
	_, err = tx.forgetEnvelopes(envelopes)
	return err
}

// unneeded is the condition of an envelope e that no message needs.
const unneeded = "state IN ('final','dropped') AND NOT EXISTS (SELECT 1 FROM message m " +
	"INDEXED BY message_envelope WHERE m.envelope_id <> '' AND m.envelope_id = e.envelope_id) " +
	"AND NOT EXISTS (SELECT 1 FROM earlier WHERE earlier.envelope_id = e.envelope_id)"

// forgetEnvelopes deletes those of some envelopes that no message needs any more.
func (tx *Tx) forgetEnvelopes(envelopes []id.Envelope) (deleted int64, err error) {
	err = tx.exec("DELETE FROM recipient WHERE envelope_id IN (SELECT envelope_id FROM envelope e "+
		"WHERE envelope_id IN (SELECT value FROM json_each(?)) AND "+unneeded+")", list(envelopes))
	if err != nil {
		return 0, err
	}
	return tx.change("DELETE FROM envelope AS e WHERE envelope_id IN "+
		"(SELECT value FROM json_each(?)) AND "+unneeded, list(envelopes))
}

// forgetDropped deletes envelopes that were replaced by others.
func (tx *Tx) forgetDropped(before time.Time) (deleted int64, err error) {
	var envelopes []id.Envelope
	err = tx.rows("SELECT envelope_id FROM envelope e INDEXED BY envelope_dropped "+
		"WHERE state = 'dropped' AND sealed < ?1 AND "+unneeded+" LIMIT ?2",
		[]any{millis(before), forgetGroup}, func(rows *sql.Rows) error {
			var e id.Envelope
			err := rows.Scan(&e)
			envelopes = append(envelopes, e)
			return err
		})
	if err != nil {
		return 0, err
	}
	return tx.forgetEnvelopes(envelopes)
}

// forgetReceived deletes placed messages, and keeps their identities in known. The last row stays:
// the next message gets a higher number.
func (tx *Tx) forgetReceived(before time.Time, from place) (next place, deleted int64, err error) {
	seqs, next, err := tx.nextRows("SELECT time, seq FROM received INDEXED BY received_time "+
		"WHERE time < ? AND (time, seq) > (?, ?) AND state = 'placed' "+
		"AND seq < (SELECT MAX(seq) FROM received) ORDER BY time, seq LIMIT ?", before, from)
	for _, query := range []string{
		"INSERT INTO known_sender (site) SELECT sender FROM received WHERE seq IN " +
			"(SELECT value FROM json_each(?)) ON CONFLICT DO NOTHING",
		"INSERT INTO known (sender, uid, digest) SELECT s.number, unhex(r.uid), " +
			"unhex(substr(r.digest, 1, 16)) FROM received r JOIN known_sender s " +
			"ON s.site = r.sender WHERE r.seq IN (SELECT value FROM json_each(?)) " +
			"ON CONFLICT DO NOTHING",
		"DELETE FROM received WHERE seq IN (SELECT value FROM json_each(?))",
	} {
		if err == nil && len(seqs) > 0 {
			err = tx.exec(query, list(seqs))
		}
	}
	return next, int64(len(seqs)), err
}

// forgetLeased deletes envelopes without a settlement to confirm. One without a receipt has ended
// at the hub, or its next lease counts its attempts anew.
func (tx *Tx) forgetLeased(before time.Time, from place) (next place, deleted int64, err error) {
	seqs, next, err := tx.nextRows("SELECT time, seq FROM delivery INDEXED BY delivery_time "+
		"WHERE time < ? AND (time, seq) > (?, ?) AND target = '' ORDER BY time, seq LIMIT ?",
		before, from)
	if err == nil && len(seqs) > 0 {
		err = tx.exec("DELETE FROM delivery WHERE seq IN (SELECT value FROM json_each(?))",
			list(seqs))
	}
	return next, int64(len(seqs)), err
}

// nextRows returns the next rows behind a place in an index by times, and the place to continue
// behind.
func (tx *Tx) nextRows(query string, before time.Time, from place) (seqs []int64, next place,
	err error) {
	err = tx.rows(query, []any{millis(before), from.time, from.seq, forgetGroup},
		func(rows *sql.Rows) error {
			err := rows.Scan(&next.time, &next.seq)
			seqs = append(seqs, next.seq)
			return err
		})
	if len(seqs) < forgetGroup {
		next = place{}
	}
	return seqs, next, err
}

// shrink returns free pages at the end of the file to the disk. It leaves a ledger alone that was
// made by an earlier version: see compacted.
func (tx *Tx) shrink() (returned int64, err error) {
	var mode, pages, free int64
	for query, into := range map[string]*int64{"PRAGMA auto_vacuum": &mode,
		"PRAGMA page_count": &pages, "PRAGMA freelist_count": &free} {
		if err := tx.row(query, nil, into); err != nil {
			return 0, err
		}
	}
	if mode != incremental || free <= max(keepFree, pages/10) {
		return 0, nil
	}
	tx.stamps.changes = -1 // SQLite counts no row for it, and the commit needs its stamp
	return giveBack, tx.rows(fmt.Sprintf("PRAGMA incremental_vacuum(%d)", giveBack), nil,
		func(*sql.Rows) error { return nil })
}

// Mark is the beginning of a digest, in hexadecimal digits.
type Mark string

// IsOf reports whether a mark is the beginning of a digest.
func (m Mark) IsOf(digest id.Hash) bool { return strings.HasPrefix(string(digest), string(m)) }

// Known returns the marks of those messages of a sender whose rows were deleted.
func (tx *Tx) Known(sender id.Site, uids []id.UID) (map[id.UID]Mark, error) {
	var known map[id.UID]Mark
	err := tx.rows("SELECT lower(hex(uid)), lower(hex(digest)) FROM known WHERE sender = "+
		"(SELECT number FROM known_sender WHERE site = ?) AND uid IN "+
		"(SELECT unhex(value) FROM json_each(?))", []any{sender, list(uids)},
		func(rows *sql.Rows) error {
			var uid id.UID
			var mark Mark
			err := rows.Scan(&uid, &mark)
			if known == nil {
				known = map[id.UID]Mark{}
			}
			known[uid] = mark
			return err
		})
	return known, err
}

// IsForgotten reports whether a message of this kind, day and number had a row that was deleted.
// The message has none now.
func (tx *Tx) IsForgotten(kind, day string, number int64) (bool, error) {
	highest, err := tx.highestUsed(kind, day)
	return number <= highest, err
}

// highestUsed returns the highest number of a kind and day among deleted messages.
func (tx *Tx) highestUsed(kind, day string) (number int64, err error) {
	err = tx.row("SELECT number FROM used WHERE day = ? AND kind = ?", []any{day, kind}, &number)
	if err == ErrNotFound {
		err = nil
	}
	return number, err
}
