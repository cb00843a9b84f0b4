package ledger

import "sealpost/internal/id"

// An origin proves the sender of an envelope: its head, its signature, and the entries that they
// cover. It is a text in parts, so that the entries of a large folder are never in memory at once.
// It ends with the row of its envelope in delivery, which has the receipt.

// OriginPart writes one part of an envelope's origin.
func (tx *Tx) OriginPart(e id.Envelope, part int, data []byte) error {
	return tx.exec("INSERT INTO origin (delivery, part, data) SELECT seq, ?, ? FROM delivery "+
		"WHERE envelope_id = ? ON CONFLICT DO UPDATE SET data = excluded.data", part, data, e)
}

// DropOrigin removes the parts of an envelope's origin.
func (tx *Tx) DropOrigin(e id.Envelope) error {
	return tx.exec("DELETE FROM origin WHERE delivery = (SELECT seq FROM delivery WHERE "+
		"envelope_id = ?)", e)
}

// OriginAfter returns the first part after a number. It returns ErrNotFound after the last one.
func (tx *Tx) OriginAfter(e id.Envelope, after int) (part int, data []byte, err error) {
	err = tx.row("SELECT part, data FROM origin WHERE delivery = (SELECT seq FROM delivery WHERE "+
		"envelope_id = ?) AND part > ? ORDER BY part LIMIT 1", []any{e, after}, &part, &data)
	return part, data, err
}
