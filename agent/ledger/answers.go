package ledger

import (
	"database/sql"
	"encoding/json"
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
	UID     id.UID    `json:"uid"`
	Site    id.Site   `json:"-"`
	Outcome string    `json:"outcome"`
	Code    string    `json:"code"`
	Time    time.Time `json:"-"`
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
	outcomes, err := json.Marshal(append([]Outcome{}, a.Outcomes...)) // never null
	if err != nil {
		return err
	}
	// A receipt outranks the hub's word that a delivery is dead: the recipient signed it.
	err = tx.exec(`INSERT INTO outcome (uid, site, outcome, code, time)
		SELECT value->>'uid', ?, value->>'outcome', value->>'code', ? FROM json_each(?) WHERE TRUE
		ON CONFLICT DO UPDATE SET outcome = excluded.outcome, code = excluded.code, time = excluded.time WHERE outcome.outcome = 'dead'`,
		a.Site, millis(a.Time), string(outcomes))
	if err != nil {
		return err
	}
	if err := tx.conclude(string(outcomes), a.Time); err != nil {
		return err
	}
	return tx.exec(`UPDATE envelope SET state = 'final' WHERE envelope_id = ? AND state = 'published' AND NOT EXISTS
		(SELECT 1 FROM message INDEXED BY message_envelope WHERE message.envelope_id <> '' AND message.envelope_id = envelope.envelope_id AND message.state IN ('sealed','published'))`, a.Envelope)
}

// conclude ends messages when every recipient of their envelope has a final outcome for them.
func (tx *Tx) conclude(outcomes string, at time.Time) error {
	return tx.exec(`WITH bad AS MATERIALIZED (
			SELECT m.uid, GROUP_CONCAT(r.site, ', ') AS sites
			FROM json_each(?1) j JOIN message m ON m.uid = j.value->>'uid' JOIN recipient r ON r.envelope_id = m.envelope_id
			JOIN outcome o ON o.uid = m.uid AND o.site = r.site AND o.outcome <> 'delivered' GROUP BY m.uid)
		UPDATE message SET finished = ?2,
			state = CASE WHEN uid IN (SELECT uid FROM bad) THEN 'failed' ELSE 'delivered' END,
			reason = COALESCE('not delivered to ' || (SELECT sites FROM bad WHERE bad.uid = message.uid), '')
		WHERE uid IN (SELECT value->>'uid' FROM json_each(?1)) AND state IN ('sealed','published') AND NOT EXISTS (
			SELECT 1 FROM recipient r WHERE r.envelope_id = message.envelope_id
			AND NOT EXISTS (SELECT 1 FROM outcome o WHERE o.uid = message.uid AND o.site = r.site))`, outcomes, millis(at))
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
	err := tx.rows("SELECT envelope_id, site, receipt, doubt, time FROM recipient INDEXED BY recipient_doubt WHERE doubt <> '' AND (? = '' OR site = ?) ORDER BY site, envelope_id LIMIT ?",
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
