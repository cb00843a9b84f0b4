package ledger

import (
	"database/sql"
	"strings"
	"time"

	"sealpost/internal/id"
)

// The outcomes of a message at one recipient.
const (
	OutcomeDelivered = "delivered"
	OutcomeRefused   = "refused"
	OutcomeDead      = "dead"
)

// Outcome is what became of one message at one recipient.
type Outcome struct {
	UID     id.UID
	Site    id.Site
	Outcome string
	Code    string
	Time    time.Time
}

// Answer is a recipient's answer to one envelope: a receipt, believed or not, or the hub's word that the delivery is dead.
type Answer struct {
	Envelope id.Envelope
	Site     id.Site
	Receipt  string
	Doubt    string // why the receipt is not believed; then there are no outcomes
	Outcomes []Outcome
	Time     time.Time
}

// Answer records an answer and returns the messages that became final by it. Repeating it changes nothing. An answer to
// an envelope that was given up still counts, because outcomes belong to messages; a dead one of such does not.
func (tx *Tx) Answer(a Answer) error {
	err := tx.exec("UPDATE recipient SET receipt = ?, believed = ?, doubt = ?, time = ? WHERE envelope_id = ? AND site = ? AND believed = 0",
		a.Receipt, a.Receipt != "" && a.Doubt == "", a.Doubt, millis(a.Time), a.Envelope, a.Site)
	if err != nil {
		return err
	}
	for _, o := range a.Outcomes {
		// A receipt outranks the hub's word that a delivery is dead: the recipient signed it.
		err := tx.exec(`INSERT INTO outcome (uid, site, outcome, code, time) VALUES (?,?,?,?,?)
			ON CONFLICT DO UPDATE SET outcome = excluded.outcome, code = excluded.code, time = excluded.time WHERE outcome.outcome = 'dead'`,
			o.UID, a.Site, o.Outcome, o.Code, millis(a.Time))
		if err != nil {
			return err
		}
		if err := tx.conclude(o.UID, a.Time); err != nil {
			return err
		}
	}
	return tx.exec(`UPDATE envelope SET state = 'final' WHERE envelope_id = ? AND state = 'published'
		AND NOT EXISTS (SELECT 1 FROM message WHERE message.envelope_id = envelope.envelope_id AND message.envelope_id <> '' AND message.state IN ('sealed','published'))`, a.Envelope)
}

// conclude ends a message when every recipient of its envelope has a final outcome for it.
func (tx *Tx) conclude(uid id.UID, at time.Time) error {
	var open, bad int64
	var sites sql.NullString
	err := tx.row(`SELECT COUNT(*) FILTER (WHERE o.uid IS NULL), COUNT(*) FILTER (WHERE o.outcome <> 'delivered'),
			GROUP_CONCAT(r.site) FILTER (WHERE o.outcome <> 'delivered')
		FROM message m JOIN recipient r ON r.envelope_id = m.envelope_id LEFT JOIN outcome o ON o.uid = m.uid AND o.site = r.site
		WHERE m.uid = ? AND m.state IN ('sealed','published') GROUP BY m.uid`, []any{uid}, &open, &bad, &sites)
	switch {
	case err == ErrNotFound || (err == nil && open > 0):
		return nil
	case err != nil:
		return err
	case bad > 0:
		return tx.finish(uid, Failed, "not delivered to "+strings.ReplaceAll(sites.String, ",", ", "), at)
	}
	return tx.finish(uid, Delivered, "", at)
}

// Outcomes lists what became of a message at each recipient that has answered.
func (tx *Tx) Outcomes(uid id.UID) ([]Outcome, error) {
	var list []Outcome
	err := tx.rows("SELECT uid, site, outcome, code, time FROM outcome WHERE uid = ? ORDER BY site", []any{uid}, func(rows *sql.Rows) error {
		var o Outcome
		var at int64
		err := rows.Scan(&o.UID, &o.Site, &o.Outcome, &o.Code, &at)
		o.Time = fromMillis(at)
		list = append(list, o)
		return err
	})
	return list, err
}

// Doubted lists answers of a site that are stored but not believed, to be checked again once a person has trusted it.
func (tx *Tx) Doubted(site id.Site, limit int) ([]Answer, error) {
	var list []Answer
	err := tx.rows("SELECT envelope_id, site, receipt, doubt, time FROM recipient WHERE doubt <> '' AND (? = '' OR site = ?) ORDER BY envelope_id LIMIT ?",
		[]any{site, site, limit}, func(rows *sql.Rows) error {
			var a Answer
			var at int64
			err := rows.Scan(&a.Envelope, &a.Site, &a.Receipt, &a.Doubt, &at)
			a.Time = fromMillis(at)
			list = append(list, a)
			return err
		})
	return list, err
}
