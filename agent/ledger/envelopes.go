package ledger

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// EnvelopeState is the state of an envelope at its sender.
type EnvelopeState string

// The states of an envelope at its sender.
const (
	EnvelopeSealed    EnvelopeState = "sealed"
	EnvelopePublished EnvelopeState = "published"
	EnvelopeFinal     EnvelopeState = "final"   // every recipient has answered, believed or not
	EnvelopeDropped   EnvelopeState = "dropped" // replaced by another: new route, or a lost hub
)

// Envelope is one ciphertext made by this site.
type Envelope struct {
	ID           id.Envelope
	Address      string
	RouteVersion id.Hash
	Size         int64
	CRC32C       []uint32
	File         string // of an earlier version, under state/sealed
	State        EnvelopeState
	Incarnation  id.Incarnation
	Sequence     uint64
	Sealed       time.Time
	Published    time.Time // the hub's confirmation
	Recipients   []Recipient
}

// Recipient is one recipient of an envelope, with its answer.
type Recipient struct {
	Site     id.Site
	Key      id.Hash // SHA-256 of the recipient string
	Receipt  string  // as the hub relayed it
	Believed bool
	Doubt    reason.Reason // for not believing it
	Time     time.Time
}

// SealedMessage is a message's place in a sealed envelope.
type SealedMessage struct {
	Seq    int64
	UID    id.UID
	Digest id.Hash
}

// Seal records an envelope and its messages. It returns ErrNotFound unless all are still in state
// from, claimed or taken.
func (tx *Tx) Seal(e Envelope, messages []SealedMessage, from State) error {
	crcs, err := json.Marshal(e.CRC32C)
	if err != nil {
		return err
	}
	err = tx.exec(`INSERT INTO envelope (envelope_id, address, route_version, size, crc32c, `+
		`file, state, sealed) VALUES (?,?,?,?,?,?,?,?)`, e.ID, e.Address, e.RouteVersion, e.Size,
		string(crcs), e.File, EnvelopeSealed, millis(e.Sealed))
	if err != nil {
		return err
	}
	for _, r := range e.Recipients {
		if err := tx.exec("INSERT INTO recipient (envelope_id, site, key) VALUES (?,?,?)", e.ID,
			r.Site, r.Key); err != nil {
			return err
		}
	}
	for len(messages) > 0 {
		n := 1
		for n < len(messages) && messages[n].Seq == messages[0].Seq+int64(n) {
			n++
		}
		if err := tx.sealRows(e.ID, messages[:n], from); err != nil {
			return err
		}
		messages = messages[n:]
	}
	return nil
}

// sealRows seals messages with consecutive rows, such as those of one claim.
func (tx *Tx) sealRows(e id.Envelope, messages []SealedMessage, from State) error {
	const uid = 32 // characters of an identity
	rows := make([]string, len(messages))
	for i, m := range messages {
		if len(m.UID) != uid {
			return fmt.Errorf("seal %q: %w", m.UID, id.ErrInvalid)
		}
		rows[i] = string(m.UID) + string(m.Digest)
	}
	// The state is part of the text: SQLite recompiles a statement for each value of a parameter in
	// the condition of a partial index.
	n, err := tx.change(`UPDATE message SET state = 'sealed', envelope_id = ?, `+
		`digest = substr(j.value, ?+1), reason = ''
		FROM json_each(?) j WHERE seq = ? + j.key AND uid = substr(j.value, 1, ?) AND state = '`+
		string(from)+"'", e, uid, list(rows), messages[0].Seq, uid)
	if err == nil && n != int64(len(messages)) {
		err = ErrNotFound
	}
	return err
}

// Publish records the hub's confirmation. It makes the envelope's messages published: see stateNow.
func (tx *Tx) Publish(e id.Envelope, incarnation id.Incarnation, sequence uint64,
	at time.Time) error {
	return tx.exec("UPDATE envelope SET state = 'published', incarnation = ?, sequence = ?, "+
		"published = ?, file = '' WHERE envelope_id = ? AND state IN ('sealed','published')",
		incarnation, sequence, millis(at), e)
}

// Drop drops an envelope and returns its unfinished messages to the state taken, with a reason.
func (tx *Tx) Drop(e id.Envelope, why reason.Reason) error {
	if err := tx.exec("UPDATE envelope SET state = 'dropped', file = '' WHERE envelope_id = ?",
		e); err != nil {
		return err
	}
	if err := tx.exec(`INSERT OR IGNORE INTO earlier (uid, envelope_id) SELECT uid, envelope_id `+
		`FROM message INDEXED BY message_envelope WHERE envelope_id <> '' AND envelope_id = ?1 `+
		`AND EXISTS (SELECT 1 FROM recipient WHERE envelope_id = ?1 AND receipt <> '')`,
		e); err != nil {
		return err
	}
	// Outcomes that recipients have signed belong to the messages, which go into another envelope.
	err := tx.exec(`INSERT INTO outcome (uid, site, outcome, code, time) `+
		`SELECT m.uid, r.site, 'delivered', '', r.time
		FROM recipient r CROSS JOIN message m INDEXED BY message_envelope `+
		`WHERE r.envelope_id = ?1 AND r.believed = 1
		AND m.envelope_id <> '' AND m.envelope_id = ?1 AND m.state IN ('sealed','published') `+
		`ON CONFLICT DO NOTHING`, e)
	if err != nil {
		return err
	}
	return tx.exec("UPDATE message INDEXED BY message_envelope SET state = 'taken', "+
		"envelope_id = '', reason = ? WHERE envelope_id <> '' AND envelope_id = ? "+
		"AND state IN ('sealed','published')", stored(why), e)
}

// Envelope returns one envelope with its recipients.
func (tx *Tx) Envelope(e id.Envelope) (Envelope, error) {
	out := Envelope{ID: e}
	var crcs string
	var sealed, published int64
	err := tx.row("SELECT address, route_version, size, crc32c, file, state, incarnation, "+
		"sequence, sealed, published FROM envelope WHERE envelope_id = ?", []any{e},
		&out.Address, &out.RouteVersion, &out.Size, &crcs, &out.File, &out.State, &out.Incarnation,
		&out.Sequence, &sealed, &published)
	if err != nil {
		return out, err
	}
	out.Sealed, out.Published = fromMillis(sealed), fromMillis(published)
	if err := json.Unmarshal([]byte(crcs), &out.CRC32C); err != nil {
		return out, err
	}
	err = tx.rows("SELECT site, key, receipt, believed, doubt, time FROM recipient WHERE "+
		"envelope_id = ? ORDER BY site", []any{e}, func(rows *sql.Rows) error {
		var r Recipient
		var at int64
		err := rows.Scan(&r.Site, &r.Key, &r.Receipt, &r.Believed, (*column)(&r.Doubt), &at)
		r.Time = fromMillis(at)
		out.Recipients = append(out.Recipients, r)
		return err
	})
	return out, err
}

// InEnvelope lists the messages that are in an envelope now, in the order of their claims.
func (tx *Tx) InEnvelope(e id.Envelope) ([]Outgoing, error) {
	return tx.outgoingFrom(byEnvelope+"envelope_id = ? ORDER BY seq", e)
}

// SentMessage has the values to compare with a receipt.
type SentMessage struct {
	UID            id.UID
	ID             id.Message
	FingerprintKey [32]byte
	Digest         id.Hash
}

// SentIn lists the messages that are in an envelope now.
func (tx *Tx) SentIn(e id.Envelope) (list []SentMessage, err error) {
	err = tx.rows("SELECT uid, message_id, fingerprint_key, digest FROM "+byEnvelope+
		"envelope_id = ?", []any{e}, func(rows *sql.Rows) error {
		var m SentMessage
		var key sql.RawBytes
		err := rows.Scan(&m.UID, &m.ID, &key, &m.Digest)
		copy(m.FingerprintKey[:], key)
		list = append(list, m)
		return err
	})
	return list, err
}

// OpenEnvelopes lists the envelopes of a state after an id, in the order of their ids.
func (tx *Tx) OpenEnvelopes(state EnvelopeState, after id.Envelope,
	limit int) ([]id.Envelope, error) {
	var list []id.Envelope
	err := tx.rows("SELECT envelope_id FROM envelope WHERE state = ? AND state IN "+
		"('sealed','published') AND envelope_id > ? ORDER BY envelope_id LIMIT ?",
		[]any{state, after, limit}, func(rows *sql.Rows) error {
			var e id.Envelope
			err := rows.Scan(&e)
			list = append(list, e)
			return err
		})
	return list, err
}
