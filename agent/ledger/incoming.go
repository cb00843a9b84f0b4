package ledger

import (
	"database/sql"
	"time"

	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// Delivery is an envelope that this site has leased at least once.
type Delivery struct {
	Envelope id.Envelope
	Sender   id.Site
	Attempts int           // number of attempts, less forgiven ones
	Receipt  string        // signed once, when all its messages are final
	Target   string        // the delivery to settle, as JSON; empty: none
	Detail   reason.Reason // of a refusal; never leaves this site
	Time     time.Time
}

// Begin counts an attempt at an envelope, durably before it is opened, and returns its row.
func (tx *Tx) Begin(e id.Envelope, sender id.Site, at time.Time) (Delivery, error) {
	err := tx.exec(`INSERT INTO delivery (envelope_id, sender, attempts, time) VALUES (?,?,1,?)
		ON CONFLICT DO UPDATE SET attempts = attempts + 1 WHERE receipt = ''`,
		e, sender, millis(at))
	if err != nil {
		return Delivery{}, err
	}
	return tx.Delivery(e)
}

// Forgive uncounts an attempt that ended for a reason outside of the envelope.
func (tx *Tx) Forgive(e id.Envelope) error {
	return tx.exec("UPDATE delivery SET attempts = max(0, attempts - 1) WHERE envelope_id = ?", e)
}

// Delivery returns one envelope's row.
func (tx *Tx) Delivery(e id.Envelope) (Delivery, error) {
	d := Delivery{Envelope: e}
	var at int64
	err := tx.row("SELECT sender, attempts, receipt, target, detail, time FROM delivery WHERE "+
		"envelope_id = ?", []any{e},
		&d.Sender, &d.Attempts, &d.Receipt, &d.Target, (*column)(&d.Detail), &at)
	d.Time = fromMillis(at)
	return d, err
}

// Receipt stores the signed receipt of an envelope, and the delivery to settle with it. The first
// receipt stays.
func (tx *Tx) Receipt(e id.Envelope, receipt, target string, detail reason.Reason) error {
	return tx.exec("UPDATE delivery SET receipt = CASE receipt WHEN '' THEN ? ELSE receipt END, "+
		"target = ?, detail = CASE detail WHEN '' THEN ? ELSE detail END WHERE envelope_id = ?",
		receipt, target, stored(detail), e)
}

// Settled records that the hub has confirmed the settlement of this delivery, or does not know it.
func (tx *Tx) Settled(e id.Envelope, target string) error {
	return tx.exec("UPDATE delivery SET target = '' WHERE envelope_id = ? AND target = ?", e,
		target)
}

// Unsettled lists envelopes with an unconfirmed settlement.
func (tx *Tx) Unsettled(limit int) ([]Delivery, error) {
	var list []Delivery
	err := tx.rows("SELECT envelope_id, sender, receipt, target FROM delivery WHERE target <> '' "+
		"ORDER BY envelope_id LIMIT ?", []any{limit}, func(rows *sql.Rows) error {
		var d Delivery
		err := rows.Scan(&d.Envelope, &d.Sender, &d.Receipt, &d.Target)
		list = append(list, d)
		return err
	})
	return list, err
}

// Refusals lists envelopes with a refused message, newest first.
func (tx *Tx) Refusals(limit int) ([]Delivery, error) {
	var list []Delivery
	err := tx.rows("SELECT envelope_id, sender, detail, time FROM delivery WHERE detail <> '' "+
		"ORDER BY time DESC LIMIT ?", []any{limit}, func(rows *sql.Rows) error {
		var d Delivery
		var at int64
		err := rows.Scan(&d.Envelope, &d.Sender, (*column)(&d.Detail), &at)
		d.Time = fromMillis(at)
		list = append(list, d)
		return err
	})
	return list, err
}

// Received is a message that this site has placed, or is placing.
type Received struct {
	Seq         int64 // the order of arrival
	Sender      id.Site
	UID         id.UID
	ID          id.Message
	Envelope    id.Envelope
	Name        string // at the sender
	Digest      id.Hash
	Fingerprint id.Hash
	Size        int64
	Sent        time.Time
	Temp, Path  string // relative to the inbox
	Placed      bool
	Time        time.Time
}

const receivedColumns = "seq, sender, uid, message_id, envelope_id, name, digest, fingerprint, " +
	"size, sent, temp, path, state = 'placed', time"

// received returns the received messages that match a condition.
func (tx *Tx) received(condition string, args ...any) ([]Received, error) {
	return tx.receivedFrom("received WHERE "+condition, args...)
}

// receivedFrom is received for the text after FROM, which may name an index.
func (tx *Tx) receivedFrom(from string, args ...any) ([]Received, error) {
	var list []Received
	err := tx.rows("SELECT "+receivedColumns+" FROM "+from, args, func(rows *sql.Rows) error {
		var r Received
		var sent, at int64
		err := rows.Scan(&r.Seq, &r.Sender, &r.UID, &r.ID, &r.Envelope, &r.Name, &r.Digest,
			&r.Fingerprint, &r.Size, &sent, &r.Temp, &r.Path, &r.Placed, &at)
		r.Sent, r.Time = fromMillis(sent), fromMillis(at)
		list = append(list, r)
		return err
	})
	return list, err
}

// Received returns the row of a message, by (sender, uid).
func (tx *Tx) Received(sender id.Site, uid id.UID) (Received, error) {
	list, err := tx.received("uid = ? AND sender = ?", uid, sender)
	if err == nil && len(list) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Received{}, err
	}
	return list[0], nil
}

// ReceivedOf returns the existing rows of these messages of a sender, in no order.
func (tx *Tx) ReceivedOf(sender id.Site, uids []id.UID) ([]Received, error) {
	return tx.received("uid IN (SELECT value FROM json_each(?)) AND sender = ?", list(uids), sender)
}

// ReceivedSince returns the bytes of the messages of each sender since a time.
func (tx *Tx) ReceivedSince(since time.Time) (map[id.Site]int64, error) {
	sums := map[id.Site]int64{}
	err := tx.rows("SELECT sender, SUM(size) FROM received INDEXED BY received_time "+
		"WHERE time >= ? GROUP BY sender", []any{millis(since)}, func(rows *sql.Rows) error {
		var sender id.Site
		var sum int64
		err := rows.Scan(&sender, &sum)
		sums[sender] = sum
		return err
	})
	return sums, err
}

// Place writes or corrects the rows of messages before their rename from Temp to Path.
func (tx *Tx) Place(messages ...Received) error {
	const columns = 13
	for rows := range chunks(messages) {
		args := make([]any, 0, len(rows)*columns)
		for _, r := range rows {
			args = append(args, r.Sender, r.UID, r.ID, r.Envelope, r.Name, r.Digest, r.Fingerprint,
				r.Size, millis(r.Sent), r.Temp, r.Path, "placing", millis(r.Time))
		}
		err := tx.exec(`INSERT INTO received (sender, uid, message_id, envelope_id, name, `+
			`digest, fingerprint, size, sent, temp, path, state, time)
			VALUES `+values(len(rows), columns)+
			` ON CONFLICT DO UPDATE SET path = excluded.path, temp = excluded.temp,
			envelope_id = excluded.envelope_id WHERE state = 'placing'`, args...)
		if err != nil {
			return err
		}
	}
	return nil
}

// Placed records that the renames of messages of one sender are durable.
func (tx *Tx) Placed(sender id.Site, uids []id.UID) error {
	return tx.exec("UPDATE received SET state = 'placed', temp = '' WHERE uid IN (SELECT value "+
		"FROM json_each(?)) AND sender = ?", list(uids), sender)
}

// NotPlaced removes the rows of messages of one sender that were to be placed and never can be.
func (tx *Tx) NotPlaced(sender id.Site, uids []id.UID) error {
	return tx.exec("DELETE FROM received WHERE uid IN (SELECT value FROM json_each(?)) AND "+
		"sender = ? AND state = 'placing'", list(uids), sender)
}

const byPlacing = "received INDEXED BY received_placing WHERE state = 'placing' "

// Placing lists messages after a sequence number that may or may not be renamed already.
func (tx *Tx) Placing(after int64, limit int) ([]Received, error) {
	return tx.receivedFrom(byPlacing+"AND seq > ? ORDER BY seq LIMIT ?", after, limit)
}

// LatestReceived lists the latest placed messages, newest first. It goes by time, since rows
// written again after the loss of a ledger are in any order.
func (tx *Tx) LatestReceived(limit int) ([]Received, error) {
	return tx.receivedFrom("received INDEXED BY received_time WHERE state = 'placed' "+
		"ORDER BY time DESC, seq DESC LIMIT ?", limit)
}

// ReceivedByUID lists the received messages with a uid, one for each sender.
func (tx *Tx) ReceivedByUID(uid id.UID) ([]Received, error) {
	return tx.received("uid = ?", uid)
}

// ReceivedByID lists the received messages with a message id.
func (tx *Tx) ReceivedByID(message id.Message) ([]Received, error) {
	return tx.received("message_id = ?", message)
}
