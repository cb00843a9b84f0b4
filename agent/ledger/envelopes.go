package ledger

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"sealpost/internal/id"
)

// EnvelopeState is where an envelope that this site made stands.
type EnvelopeState string

// The states of an envelope at its sender.
const (
	EnvelopeSealed    EnvelopeState = "sealed"
	EnvelopePublished EnvelopeState = "published"
	EnvelopeFinal     EnvelopeState = "final"   // every recipient has answered, believed or not
	EnvelopeDropped   EnvelopeState = "dropped" // given up for another: route changed, or lost with a hub
)

// Envelope is one ciphertext that this site made.
type Envelope struct {
	ID           id.Envelope
	Address      string
	RouteVersion id.Hash
	Size         int64
	CRC32C       []uint32
	File         string // its name under state/sealed; empty: it was in memory only
	State        EnvelopeState
	Incarnation  id.Incarnation
	Sequence     uint64
	Sealed       time.Time
	Published    time.Time // the hub's promise
	Recipients   []Recipient
}

// Recipient is one recipient of an envelope and what it answered.
type Recipient struct {
	Site     id.Site
	Key      id.Hash // SHA-256 of the recipient string
	Receipt  string  // as relayed
	Believed bool
	Doubt    string // why not
	Time     time.Time
}

// SealedMessage is a message's place in a sealed envelope.
type SealedMessage struct {
	Seq    int64
	UID    id.UID
	Digest id.Hash
}

// Seal records an envelope and its messages, which must still be in this state, claimed or taken, else ErrNotFound.
func (tx *Tx) Seal(e Envelope, messages []SealedMessage, from State) error {
	crcs, err := json.Marshal(e.CRC32C)
	if err != nil {
		return err
	}
	err = tx.exec(`INSERT INTO envelope (envelope_id, address, route_version, size, crc32c, file, state, sealed) VALUES (?,?,?,?,?,?,?,?)`,
		e.ID, e.Address, e.RouteVersion, e.Size, string(crcs), e.File, EnvelopeSealed, millis(e.Sealed))
	if err != nil {
		return err
	}
	for _, r := range e.Recipients {
		if err := tx.exec("INSERT INTO recipient (envelope_id, site, key) VALUES (?,?,?)", e.ID, r.Site, r.Key); err != nil {
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

// sealRows seals messages whose rows follow each other, as those of a claim do.
func (tx *Tx) sealRows(e id.Envelope, messages []SealedMessage, from State) error {
	const uid = 32 // letters of an identity
	rows := make([]string, len(messages))
	for i, m := range messages {
		if len(m.UID) != uid {
			return fmt.Errorf("seal %q: %w", m.UID, id.ErrInvalid)
		}
		rows[i] = string(m.UID) + string(m.Digest)
	}
	// The state is spelled out: SQLite compiles a statement anew for each value of what a partial index may depend on.
	n, err := tx.change(`UPDATE message SET state = 'sealed', envelope_id = ?, digest = substr(j.value, ?+1), reason = ''
		FROM json_each(?) j WHERE seq = ? + j.key AND uid = substr(j.value, 1, ?) AND state = '`+string(from)+"'", e, uid, list(rows), messages[0].Seq, uid)
	if err == nil && n != int64(len(messages)) {
		err = ErrNotFound
	}
	return err
}

// Publish records the hub's promise, by which the envelope's messages are published: see stateNow.
func (tx *Tx) Publish(e id.Envelope, incarnation id.Incarnation, sequence uint64, at time.Time) error {
	return tx.exec("UPDATE envelope SET state = 'published', incarnation = ?, sequence = ?, published = ?, file = '' WHERE envelope_id = ? AND state IN ('sealed','published')",
		incarnation, sequence, millis(at), e)
}

// Drop gives an envelope up and lets its unfinished messages wait to be sealed again.
func (tx *Tx) Drop(e id.Envelope, reason string) error {
	if err := tx.exec("UPDATE envelope SET state = 'dropped', file = '' WHERE envelope_id = ?", e); err != nil {
		return err
	}
	// What its recipients have signed for belongs to the messages, and they go into another envelope.
	err := tx.exec(`INSERT INTO outcome (uid, site, outcome, code, time) SELECT m.uid, r.site, 'delivered', '', r.time
		FROM recipient r CROSS JOIN message m INDEXED BY message_envelope WHERE r.envelope_id = ?1 AND r.believed = 1
		AND m.envelope_id <> '' AND m.envelope_id = ?1 AND m.state IN ('sealed','published') ON CONFLICT DO NOTHING`, e)
	if err != nil {
		return err
	}
	return tx.exec("UPDATE message INDEXED BY message_envelope SET state = 'taken', envelope_id = '', reason = ? WHERE envelope_id <> '' AND envelope_id = ? AND state IN ('sealed','published')", reason, e)
}

// Envelope returns one envelope with its recipients.
func (tx *Tx) Envelope(e id.Envelope) (Envelope, error) {
	out := Envelope{ID: e}
	var crcs string
	var sealed, published int64
	err := tx.row("SELECT address, route_version, size, crc32c, file, state, incarnation, sequence, sealed, published FROM envelope WHERE envelope_id = ?", []any{e},
		&out.Address, &out.RouteVersion, &out.Size, &crcs, &out.File, &out.State, &out.Incarnation, &out.Sequence, &sealed, &published)
	if err != nil {
		return out, err
	}
	out.Sealed, out.Published = fromMillis(sealed), fromMillis(published)
	if err := json.Unmarshal([]byte(crcs), &out.CRC32C); err != nil {
		return out, err
	}
	err = tx.rows("SELECT site, key, receipt, believed, doubt, time FROM recipient WHERE envelope_id = ? ORDER BY site", []any{e}, func(rows *sql.Rows) error {
		var r Recipient
		var at int64
		err := rows.Scan(&r.Site, &r.Key, &r.Receipt, &r.Believed, &r.Doubt, &at)
		r.Time = fromMillis(at)
		out.Recipients = append(out.Recipients, r)
		return err
	})
	return out, err
}

// InEnvelope lists the messages that are now in an envelope, in the order of their claims.
func (tx *Tx) InEnvelope(e id.Envelope) ([]Outgoing, error) {
	return tx.outgoingFrom(byEnvelope+"envelope_id = ? ORDER BY seq", e)
}

// SentMessage is what a receipt is held against.
type SentMessage struct {
	UID            id.UID
	ID             id.Message
	FingerprintKey [32]byte
	Digest         id.Hash
}

// SentIn lists the messages that are now in an envelope.
func (tx *Tx) SentIn(e id.Envelope) (list []SentMessage, err error) {
	err = tx.rows("SELECT uid, message_id, fingerprint_key, digest FROM "+byEnvelope+"envelope_id = ?", []any{e}, func(rows *sql.Rows) error {
		var m SentMessage
		var key sql.RawBytes
		err := rows.Scan(&m.UID, &m.ID, &key, &m.Digest)
		copy(m.FingerprintKey[:], key)
		list = append(list, m)
		return err
	})
	return list, err
}

// OpenEnvelopes pages through the envelopes of a state, in the order of their ids, after the given one.
func (tx *Tx) OpenEnvelopes(state EnvelopeState, after id.Envelope, limit int) ([]id.Envelope, error) {
	var list []id.Envelope
	err := tx.rows("SELECT envelope_id FROM envelope WHERE state = ? AND state IN ('sealed','published') AND envelope_id > ? ORDER BY envelope_id LIMIT ?",
		[]any{state, after, limit}, func(rows *sql.Rows) error {
			var e id.Envelope
			err := rows.Scan(&e)
			list = append(list, e)
			return err
		})
	return list, err
}
