package ledger

import (
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// State is the state of a message at its sender.
type State string

// The states of section 5 of the design.
const (
	Claimed   State = "claimed"   // the row exists, the rename may be missing
	Taken     State = "taken"     // in sending/, durable, waiting to be sealed
	Sealed    State = "sealed"    // in an envelope that the hub may not have
	Published State = "published" // the hub has it
	Delivered State = "delivered" // final: the receipts of all recipients are verified
	Failed    State = "failed"    // final: refused or dead at a recipient, or not sendable
	Withdrawn State = "withdrawn" // final: its file was missing before it was taken
)

// Reason returns the name of a state for users.
func (s State) Reason() reason.Reason {
	switch s {
	case Claimed:
		return reason.New("state-claimed")
	case Taken:
		return reason.New("state-taken")
	case Sealed:
		return reason.New("state-sealed")
	case Published:
		return reason.New("state-published")
	case Delivered:
		return reason.New("state-delivered")
	case Failed:
		return reason.New("state-failed")
	case Withdrawn:
		return reason.New("state-withdrawn")
	}
	return reason.Text(string(s))
}

// Outgoing is a message sent by this site.
type Outgoing struct {
	Seq            int64
	UID            id.UID
	ID             id.Message
	Tray           string // name of the tray of its drop
	Kind           string
	Day            string // YYYYMMDD, UTC
	Number         int64
	Name           string
	Folder         bool
	Group          Group // the messages in its folder; zero: its own folder
	FingerprintKey [32]byte
	Source         Source
	Address        string
	Dir            string // folder under outbox/ of its drop; mostly empty
	Claimed        time.Time
	Due            time.Time // not sealed before this time
	State          State
	Filed          bool
	Envelope       id.Envelope
	Digest         id.Hash
	Reason         reason.Reason
	Finished       time.Time
	// Follows is a delivered message whose content was changed later. This one has the rest.
	Follows id.Message
	FiledAt time.Time // when it was moved to its final folder; zero: unknown
	// Covers is the state of that message's content that is sent with this one. It has only Size,
	// Entries and ModTime.
	Covers Source
}

// Group identifies messages that were claimed together and share a folder, within a kind and day.
// It has the numbers of the first and the last one.
type Group struct{ First, Last int64 }

// Size returns the number of messages in the group at the claim; 0 for the zero group.
func (g Group) Size() int64 {
	if g == (Group{}) {
		return 0
	}
	return g.Last - g.First + 1
}

// SharesFolder reports whether two messages share one folder.
func (m Outgoing) SharesFolder(other Outgoing) bool {
	return m.Group != (Group{}) && m.Group == other.Group && m.Kind == other.Kind &&
		m.Day == other.Day && m.Tray == other.Tray
}

// Source identifies a source. If any field differs, it is not the claimed one.
type Source struct {
	Size       int64  // bytes; of all files in a folder
	Entries    int64  // 1 for a file; for a folder its entries and itself
	ModTime    int64  // nanoseconds; the newest in a folder
	File       string // device and inode, or volume and file id
	Executable bool   // of a file
}

// SQLite uses a partial index only if a query repeats its condition literally. Without an index it
// reads every row ever written. So frequent queries name their index: every test fails if it cannot
// be used.
const (
	byOpen = "message INDEXED BY message_open WHERE state IN " +
		"('claimed','taken','sealed','published') AND "
	byLarge = "message INDEXED BY message_large WHERE state = 'taken' " +
		"AND (size > 786432 OR type = 'folder') AND "
	byHeld     = "message INDEXED BY message_held WHERE state = 'taken' AND due > claimed AND "
	byEnvelope = "message INDEXED BY message_envelope WHERE envelope_id <> '' AND "
	byUnfiled  = "message INDEXED BY message_unfiled WHERE filed = 0 " +
		"AND state IN ('delivered','failed') "
)

// Small is the maximum size of files that share envelopes. The index message_large repeats it.
const Small = 768 << 10

// stateNow is the state of a message in SQL. A published envelope implies that its messages are
// published, so that their rows need no write. A row in state published comes from an earlier
// version.
const stateNow = `CASE WHEN state = 'sealed' AND EXISTS (SELECT 1 FROM envelope e ` +
	`WHERE e.envelope_id = message.envelope_id AND e.state = 'published') ` +
	`THEN 'published' ELSE state END`

const outgoingColumns = `seq, uid, message_id, tray, kind, day, number, group_first, ` +
	`group_last, name, type = 'folder', fingerprint_key, size, entries, mtime, file, ` +
	`executable, address, dir, claimed, due, ` + stateNow + `, filed, envelope_id, digest, ` +
	`reason, finished, follows, follows_size, follows_entries, follows_mtime, ` +
	`filed_at`

func scanOutgoing(rows interface{ Scan(...any) error }) (Outgoing, error) {
	var m Outgoing
	var key []byte
	var claimed, due, finished, filed int64
	err := rows.Scan(&m.Seq, &m.UID, &m.ID, &m.Tray, &m.Kind, &m.Day, &m.Number, &m.Group.First,
		&m.Group.Last, &m.Name, &m.Folder, &key, &m.Source.Size, &m.Source.Entries,
		&m.Source.ModTime, &m.Source.File, &m.Source.Executable, &m.Address, &m.Dir, &claimed,
		&due, &m.State, &m.Filed, &m.Envelope, &m.Digest, (*column)(&m.Reason), &finished,
		&m.Follows, &m.Covers.Size, &m.Covers.Entries, &m.Covers.ModTime, &filed)
	copy(m.FingerprintKey[:], key)
	m.Claimed, m.Due, m.Finished = fromMillis(claimed), fromMillis(due), fromMillis(finished)
	m.FiledAt = fromMillis(filed)
	return m, err
}

// outgoing returns the sent messages that match a condition.
func (tx *Tx) outgoing(condition string, args ...any) ([]Outgoing, error) {
	return tx.outgoingFrom("message WHERE "+condition, args...)
}

// outgoingFrom is outgoing for the text after FROM, which may name an index.
func (tx *Tx) outgoingFrom(from string, args ...any) ([]Outgoing, error) {
	var list []Outgoing
	err := tx.rows("SELECT "+outgoingColumns+" FROM "+from, args, func(rows *sql.Rows) error {
		m, err := scanOutgoing(rows)
		list = append(list, m)
		return err
	})
	return list, err
}

// Resource replaces the source and the identity of an unsealed message, whose file was still being
// written.
func (tx *Tx) Resource(uid id.UID, m Outgoing) error {
	return tx.exec("UPDATE message SET uid = ?, fingerprint_key = ?, size = ?, entries = ?, "+
		"mtime = ?, file = ?, executable = ? WHERE uid = ? AND state IN ('claimed','taken')",
		m.UID, m.FingerprintKey[:], m.Source.Size, m.Source.Entries, m.Source.ModTime,
		m.Source.File, m.Source.Executable, uid)
}

// Advance moves a message from one state to another, with a reason. It reports whether it was in
// the first.
func (tx *Tx) Advance(uid id.UID, from, to State, why reason.Reason) (bool, error) {
	n, err := tx.change("UPDATE message SET state = ?, reason = ? WHERE uid = ? AND state = ?", to,
		stored(why), uid, from)
	return n == 1, err
}

// Take moves claimed messages to taken: they are in sending/, durably.
func (tx *Tx) Take(seqs []int64) error {
	return tx.exec("UPDATE message SET state = 'taken', reason = '' WHERE state = 'claimed' AND "+
		"seq IN (SELECT value FROM json_each(?))", list(seqs))
}

// Explain records a message's reason for waiting.
func (tx *Tx) Explain(uid id.UID, why reason.Reason) error {
	return tx.exec("UPDATE message SET reason = ?1 WHERE uid = ?2 AND reason <> ?1", stored(why),
		uid)
}

// Claimed lists messages of a tray in state claimed after seq, in the order of their claims, at
// most limit.
func (tx *Tx) Claimed(tray string, after int64, limit int) ([]Outgoing, error) {
	return tx.outgoingFrom(byOpen+"state = 'claimed' AND tray = ? AND seq > ? ORDER BY seq LIMIT ?",
		tray, after, limit)
}

// Waiting visits messages of trays to seal for one address, in the order of their claims after seq.
// It stops when visit returns false. With small it visits files up to Small; otherwise larger ones
// and folders, which get their own envelope.
func (tx *Tx) Waiting(trays []string, address string, small bool, now time.Time, after int64,
	visit func(Outgoing) bool) error {
	const rest = "address = ? AND seq > ? AND due <= ? AND tray IN (SELECT value FROM " +
		"json_each(?)) "
	from, args := byLarge+rest, []any{address, after, millis(now), list(trays)}
	if small {
		from, args = byOpen+"state = 'taken' AND "+rest+"AND size <= ? AND type = 'file' ",
			append(args, Small)
	}
	err := tx.rows("SELECT "+outgoingColumns+" FROM "+from+"ORDER BY seq", args,
		func(rows *sql.Rows) error {
			m, err := scanOutgoing(rows)
			if err == nil && !visit(m) {
				err = errEnough
			}
			return err
		})
	if err == errEnough {
		return nil
	}
	return err
}

// errEnough ends a visit without an error.
var errEnough = errors.New("enough")

// NextDue returns the time at which the next held message may be sealed, or zero.
func (tx *Tx) NextDue(now time.Time) (time.Time, error) {
	var due sql.NullInt64
	err := tx.row("SELECT MIN(due) FROM "+byHeld+"due > ?", []any{millis(now)}, &due)
	return fromMillis(due.Int64), err
}

// Addresses lists the addresses of messages in state taken, in order. It reads one row for each.
func (tx *Tx) Addresses() (list []string, err error) {
	for last := ""; ; {
		var next sql.NullString
		if err := tx.row("SELECT MIN(address) FROM "+byOpen+"state = 'taken' AND address > ?",
			[]any{last}, &next); err != nil || !next.Valid {
			return list, err
		}
		last = next.String
		list = append(list, last)
	}
}

// Unfiled lists final messages of a tray after seq that may not be moved yet. It sets only the
// fields for moving them: Seq, UID, ID, Kind, Day, Number, Group, Name, Source without Executable,
// Address, Dir, State, Digest, Reason and FiledAt.
func (tx *Tx) Unfiled(tray string, after int64, limit int) (list []Outgoing, err error) {
	err = tx.rows("SELECT seq, uid, message_id, kind, day, number, group_first, group_last, "+
		"name, size, entries, mtime, file, address, dir, state, digest, reason, filed_at FROM "+
		byUnfiled+
		"AND tray = ? AND seq > ? ORDER BY seq LIMIT ?", []any{tray, after, limit},
		func(rows *sql.Rows) error {
			m, filed := Outgoing{Tray: tray}, int64(0)
			err := rows.Scan(&m.Seq, &m.UID, &m.ID, &m.Kind, &m.Day, &m.Number, &m.Group.First,
				&m.Group.Last, &m.Name, &m.Source.Size, &m.Source.Entries, &m.Source.ModTime,
				&m.Source.File, &m.Address, &m.Dir, &m.State, &m.Digest, (*column)(&m.Reason),
				&filed)
			m.FiledAt = fromMillis(filed)
			list = append(list, m)
			return err
		})
	return list, err
}

// WasFiled reports whether a final message that is not filed was filed before. Its outcome has
// changed since.
func (m Outgoing) WasFiled() bool { return m.FiledAt.Year() > 1970 }

// Filed records that the folders of final messages were moved, as Unfiled has listed them. It
// leaves out a message whose outcome has changed since.
func (tx *Tx) Filed(messages []Outgoing, at time.Time) error {
	rows := make([][2]int64, len(messages))
	for i, m := range messages {
		rows[i] = [2]int64{m.Seq, millis(m.FiledAt)}
	}
	text, err := json.Marshal(rows)
	if err != nil {
		return err
	}
	return tx.exec("UPDATE message SET filed = 1, filed_at = ? FROM json_each(?) j "+
		"WHERE seq = j.value->>0 AND filed_at = j.value->>1", millis(at), string(text))
}

// Group lists the messages that share a folder with one, by number. It returns nil unless the
// ledger has all of them as claimed.
func (tx *Tx) Group(m Outgoing) ([]Outgoing, error) {
	first := m.Seq - (m.Number - m.Group.First) // rows of a claim are consecutive
	list, err := tx.outgoing("seq >= ? AND seq < ? AND kind = ? AND day = ? AND group_first = ? "+
		"AND group_last = ? AND number = group_first + seq - ? ORDER BY seq",
		first, first+m.Group.Size(), m.Kind, m.Day, m.Group.First, m.Group.Last, first)
	if int64(len(list)) != m.Group.Size() {
		return nil, err
	}
	return list, err
}

// Message returns one message by its message id or uid.
func (tx *Tx) Message(name string) (Outgoing, error) {
	list, err := tx.outgoing("message_id = ? OR uid = ?", name, name)
	if err == nil && len(list) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Outgoing{}, err
	}
	return list[0], nil
}

// Latest lists the latest claimed messages, newest first.
func (tx *Tx) Latest(limit int) ([]Outgoing, error) {
	return tx.outgoing("TRUE ORDER BY seq DESC LIMIT ?", limit)
}

// finish ends a message, unless it has ended already.
func (tx *Tx) finish(uid id.UID, state State, why reason.Reason, at time.Time) error {
	return tx.exec("UPDATE message SET state = ?, reason = ?, finished = ? WHERE uid = ? AND "+
		"state NOT IN ('delivered','failed','withdrawn')",
		state, stored(why), millis(at), uid)
}

// Fail ends a message that cannot be sent.
func (tx *Tx) Fail(uid id.UID, why reason.Reason, at time.Time) error {
	return tx.finish(uid, Failed, why, at)
}
