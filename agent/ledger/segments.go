package ledger

import (
	"database/sql"
	"encoding/json"

	"sealpost/internal/id"
)

// Segment is the progress of a large envelope. All segments up to Number are sealed, and durable at
// the hub.
type Segment struct {
	Number     int      // 0: the start
	Checkpoint string   // from which the sealing goes on
	CRC32C     []uint32 // of the parts of this segment
}

// AddSegment records that a segment is durable at the hub. Number 0 marks the envelope as one that
// is sealed on its way to the hub. It returns ErrNotFound if the envelope was dropped.
func (tx *Tx) AddSegment(e id.Envelope, s Segment) error {
	crcs, err := json.Marshal(s.CRC32C)
	if err != nil {
		return err
	}
	n, err := tx.change("INSERT OR REPLACE INTO segment (envelope_id, number, checkpoint, crc32c) "+
		"SELECT envelope_id, ?, ?, ? FROM envelope WHERE envelope_id = ? AND state = 'sealed'",
		s.Number, s.Checkpoint, string(crcs), e)
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	return err
}

// Segments lists the progress of an envelope. It is empty if the envelope is not sealed on its way.
func (tx *Tx) Segments(e id.Envelope) (all []Segment, err error) {
	err = tx.rows("SELECT number, checkpoint, crc32c FROM segment WHERE envelope_id = ? "+
		"ORDER BY number", []any{e}, func(rows *sql.Rows) error {
		var s Segment
		var crcs string
		if err := rows.Scan(&s.Number, &s.Checkpoint, &crcs); err != nil {
			return err
		}
		all = append(all, s)
		return json.Unmarshal([]byte(crcs), &all[len(all)-1].CRC32C)
	})
	return all, err
}

// Stream is an envelope that is sealed on its way to the hub, which does not have it yet.
type Stream struct {
	Envelope id.Envelope
	Size     int64
	Segments int  // that are durable at the hub
	IsSealed bool // to its end
}

// Streams lists the envelopes that are sealed on their way, by id.
func (tx *Tx) Streams() (all []Stream, err error) {
	err = tx.rows(`SELECT e.envelope_id, e.size, MAX(s.number), e.crc32c NOT IN ('null','[]') `+
		`FROM envelope e INDEXED BY envelope_open CROSS JOIN segment s USING (envelope_id) `+
		`WHERE e.state = 'sealed' AND e.state IN ('sealed','published') `+
		`GROUP BY e.envelope_id ORDER BY e.envelope_id`, nil, func(rows *sql.Rows) error {
		var s Stream
		err := rows.Scan(&s.Envelope, &s.Size, &s.Segments, &s.IsSealed)
		all = append(all, s)
		return err
	})
	return all, err
}

// DropSegments deletes the progress of an envelope behind a segment; -1: all of it.
func (tx *Tx) DropSegments(e id.Envelope, last int) error {
	return tx.exec("DELETE FROM segment WHERE envelope_id = ? AND number > ?", e, last)
}

// EndSeal records the checksums of an envelope that was sealed on its way, and the digest of its
// one message.
func (tx *Tx) EndSeal(e id.Envelope, crcs []uint32, digest id.Hash) error {
	encoded, err := json.Marshal(crcs)
	if err != nil {
		return err
	}
	if err := tx.exec("UPDATE envelope SET crc32c = ? WHERE envelope_id = ?", string(encoded),
		e); err != nil {
		return err
	}
	return tx.exec("UPDATE message INDEXED BY message_envelope SET digest = ?, reason = '' "+
		"WHERE envelope_id <> '' AND envelope_id = ?", digest, e)
}
