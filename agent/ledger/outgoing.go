package ledger

import (
	"database/sql"
	"errors"
	"time"

	"sealpost/internal/id"
)

// State is where a message that this site sends stands.
type State string

// The states of section 5 of the design.
const (
	Claimed   State = "claimed"   // the row is there, the rename may not be
	Taken     State = "taken"     // it lies in sending/, durably, and waits to be sealed
	Sealed    State = "sealed"    // it is part of an envelope that the hub may not have yet
	Published State = "published" // the hub has it
	Delivered State = "delivered" // final: every recipient's receipt is verified
	Failed    State = "failed"    // final: refused by or dead for at least one recipient, or not sendable
	Withdrawn State = "withdrawn" // final: its file was gone before it was taken
)

// Outgoing is a message that this site sends.
type Outgoing struct {
	Seq            int64
	UID            id.UID
	ID             id.Message
	Tray           string // the name of the tray into which it was dropped
	Kind           string
	Day            string // YYYYMMDD, UTC
	Number         int64
	Name           string
	Folder         bool
	Group          Group // of the messages whose folder in the tray it shares; zero: it has one of its own
	FingerprintKey [32]byte
	Source         Source
	Address        string
	Dir            string // the folder under outbox/ in which it was dropped; mostly empty
	Claimed        time.Time
	Due            time.Time // it is not sealed before
	State          State
	Filed          bool
	Envelope       id.Envelope
	Digest         id.Hash
	Reason         string
	Finished       time.Time
}

// Group is what messages that were claimed together and share a folder have in common, besides kind and day: the numbers of the
// first and the last of them.
type Group struct{ First, Last int64 }

// Size is how many messages the group had when it was claimed; 0 for the zero group.
func (g Group) Size() int64 {
	if g == (Group{}) {
		return 0
	}
	return g.Last - g.First + 1
}

// SharesFolder tells whether two messages share one folder.
func (m Outgoing) SharesFolder(other Outgoing) bool {
	return m.Group != (Group{}) && m.Group == other.Group && m.Kind == other.Kind && m.Day == other.Day && m.Tray == other.Tray
}

// Source is what identifies a source: if any of it differs, it is not the one that was claimed.
type Source struct {
	Size       int64  // bytes; of all files in a folder
	Entries    int64  // 1 for a file; of a folder: all that is in it, and itself
	ModTime    int64  // nanoseconds; the newest in a folder
	File       string // device and inode, or volume and file id
	Executable bool   // of a file
}

// SQLite takes a partial index only where a query repeats its condition in these very words, and what is not found by an index
// is found by reading every row that was ever written. So queries that are asked all the time name their index: they fail in
// every test if it cannot be used.
const (
	byOpen     = "message INDEXED BY message_open WHERE state IN ('claimed','taken','sealed','published') AND "
	byLarge    = "message INDEXED BY message_large WHERE state = 'taken' AND (size > 786432 OR type = 'folder') AND "
	byHeld     = "message INDEXED BY message_held WHERE state = 'taken' AND due > claimed AND "
	byEnvelope = "message INDEXED BY message_envelope WHERE envelope_id <> '' AND "
	byUnfiled  = "message INDEXED BY message_unfiled WHERE filed = 0 AND state IN ('delivered','failed') "
)

// Small is the size up to which files share envelopes; the index message_large spells it out.
const Small = 768 << 10

// stateNow is the state of a message. That the hub has it is said by its envelope, so that the rows of all its messages need not be written for it. A row that says
// published itself is one of an earlier program.
const stateNow = `CASE WHEN state = 'sealed' AND EXISTS (SELECT 1 FROM envelope e WHERE e.envelope_id = message.envelope_id AND e.state = 'published') THEN 'published' ELSE state END`

const outgoingColumns = `seq, uid, message_id, tray, kind, day, number, group_first, group_last, name, type = 'folder', fingerprint_key, size, entries, mtime, file, executable, address, dir, claimed, due, ` + stateNow + `, filed, envelope_id, digest, reason, finished`

func scanOutgoing(rows interface{ Scan(...any) error }) (Outgoing, error) {
	var m Outgoing
	var key []byte
	var claimed, due, finished int64
	err := rows.Scan(&m.Seq, &m.UID, &m.ID, &m.Tray, &m.Kind, &m.Day, &m.Number, &m.Group.First, &m.Group.Last, &m.Name, &m.Folder, &key, &m.Source.Size, &m.Source.Entries, &m.Source.ModTime, &m.Source.File,
		&m.Source.Executable, &m.Address, &m.Dir, &claimed, &due, &m.State, &m.Filed, &m.Envelope, &m.Digest, &m.Reason, &finished)
	copy(m.FingerprintKey[:], key)
	m.Claimed, m.Due, m.Finished = fromMillis(claimed), fromMillis(due), fromMillis(finished)
	return m, err
}

func (tx *Tx) outgoing(where string, args ...any) ([]Outgoing, error) {
	return tx.outgoingFrom("message WHERE "+where, args...)
}

func (tx *Tx) outgoingFrom(from string, args ...any) ([]Outgoing, error) {
	var list []Outgoing
	err := tx.rows("SELECT "+outgoingColumns+" FROM "+from, args, func(rows *sql.Rows) error {
		m, err := scanOutgoing(rows)
		list = append(list, m)
		return err
	})
	return list, err
}

// Resource replaces the source of a message that is not sealed, and the identity with it: its file was still being written.
func (tx *Tx) Resource(uid id.UID, m Outgoing) error {
	return tx.exec("UPDATE message SET uid = ?, fingerprint_key = ?, size = ?, entries = ?, mtime = ?, file = ?, executable = ? WHERE uid = ? AND state IN ('claimed','taken')",
		m.UID, m.FingerprintKey[:], m.Source.Size, m.Source.Entries, m.Source.ModTime, m.Source.File, m.Source.Executable, uid)
}

// Advance moves a message to a state if it is in the other one, with a reason for people, and says whether it was.
func (tx *Tx) Advance(uid id.UID, from, to State, reason string) (bool, error) {
	n, err := tx.change("UPDATE message SET state = ?, reason = ? WHERE uid = ? AND state = ?", to, reason, uid, from)
	return n == 1, err
}

// Take moves claimed messages on: they lie in sending/, durably.
func (tx *Tx) Take(seqs []int64) error {
	return tx.exec("UPDATE message SET state = 'taken', reason = '' WHERE state = 'claimed' AND seq IN (SELECT value FROM json_each(?))", list(seqs))
}

// Explain records why a message waits, for people.
func (tx *Tx) Explain(uid id.UID, reason string) error {
	return tx.exec("UPDATE message SET reason = ? WHERE uid = ? AND reason <> ?", reason, uid, reason)
}

// Claimed lists the messages of a tray that are claimed and not taken yet, in the order of their claims, after seq, at most
// limit.
func (tx *Tx) Claimed(tray string, after int64, limit int) ([]Outgoing, error) {
	return tx.outgoingFrom(byOpen+"state = 'claimed' AND tray = ? AND seq > ? ORDER BY seq LIMIT ?", tray, after, limit)
}

// Waiting visits messages of these trays to be sealed for one address in the order of their claims, after seq, until visit
// returns false: files up to Small, or what is larger and folders, which have an envelope to themselves.
func (tx *Tx) Waiting(trays []string, address string, small bool, now time.Time, after int64, visit func(Outgoing) bool) error {
	const rest = "address = ? AND seq > ? AND due <= ? AND tray IN (SELECT value FROM json_each(?)) "
	from, args := byLarge+rest, []any{address, after, millis(now), list(trays)}
	if small {
		from, args = byOpen+"state = 'taken' AND "+rest+"AND size <= ? AND type = 'file' ", append(args, Small)
	}
	err := tx.rows("SELECT "+outgoingColumns+" FROM "+from+"ORDER BY seq", args, func(rows *sql.Rows) error {
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

// errEnough ends a visit.
var errEnough = errors.New("enough")

// NextDue returns when the next message that is held may be sealed; the zero time when none is.
func (tx *Tx) NextDue(now time.Time) (time.Time, error) {
	var due sql.NullInt64
	err := tx.row("SELECT MIN(due) FROM "+byHeld+"due > ?", []any{millis(now)}, &due)
	return fromMillis(due.Int64), err
}

// Addresses lists the addresses for which something waits to be sealed, in order. It looks at one row for each.
func (tx *Tx) Addresses() (list []string, err error) {
	for last := ""; ; {
		var next sql.NullString
		if err := tx.row("SELECT MIN(address) FROM "+byOpen+"state = 'taken' AND address > ?", []any{last}, &next); err != nil || !next.Valid {
			return list, err
		}
		last = next.String
		list = append(list, last)
	}
}

// Unfiled lists messages of a tray, after seq, that are final but may not have been moved yet, with no more of each than
// moving it needs: Seq, UID, ID, Kind, Day, Number, Group, Name, Source without Executable, Dir, State, Digest and Reason.
func (tx *Tx) Unfiled(tray string, after int64, limit int) (list []Outgoing, err error) {
	err = tx.rows("SELECT seq, uid, message_id, kind, day, number, group_first, group_last, name, size, entries, mtime, file, dir, state, digest, reason FROM "+byUnfiled+"AND tray = ? AND seq > ? ORDER BY seq LIMIT ?", []any{tray, after, limit}, func(rows *sql.Rows) error {
		m := Outgoing{Tray: tray}
		err := rows.Scan(&m.Seq, &m.UID, &m.ID, &m.Kind, &m.Day, &m.Number, &m.Group.First, &m.Group.Last, &m.Name,
			&m.Source.Size, &m.Source.Entries, &m.Source.ModTime, &m.Source.File, &m.Dir, &m.State, &m.Digest, &m.Reason)
		list = append(list, m)
		return err
	})
	return list, err
}

// Filed records that the folders of final messages were moved.
func (tx *Tx) Filed(seqs []int64) error {
	return tx.exec("UPDATE message SET filed = 1 WHERE seq IN (SELECT value FROM json_each(?))", list(seqs))
}

// Group lists all messages that share a folder with one, by their numbers; nil when the ledger does not know each of them as they
// were claimed.
func (tx *Tx) Group(m Outgoing) ([]Outgoing, error) {
	first := m.Seq - (m.Number - m.Group.First) // a claim's rows follow each other
	list, err := tx.outgoing("seq >= ? AND seq < ? AND kind = ? AND day = ? AND group_first = ? AND group_last = ? AND number = group_first + seq - ? ORDER BY seq",
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

// Latest lists the messages claimed last, newest first, for people.
func (tx *Tx) Latest(limit int) ([]Outgoing, error) {
	return tx.outgoing("TRUE ORDER BY seq DESC LIMIT ?", limit)
}

func (tx *Tx) finish(uid id.UID, state State, reason string, at time.Time) error {
	return tx.exec("UPDATE message SET state = ?, reason = ?, finished = ? WHERE uid = ? AND state NOT IN ('delivered','failed','withdrawn')",
		state, reason, millis(at), uid)
}

// Fail ends a message that cannot be sent at all.
func (tx *Tx) Fail(uid id.UID, reason string, at time.Time) error {
	return tx.finish(uid, Failed, reason, at)
}
