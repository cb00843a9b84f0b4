package ledger

import (
	"database/sql"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// The possible outcomes of a message at one recipient.
const (
	OutcomeDelivered = "delivered"
	OutcomeRefused   = "refused"
	OutcomeDead      = "dead"
)

// CodeRequeued is the code of a dead outcome whose message is on its way again. The hub's admin has
// requeued it.
const CodeRequeued = "requeued"

// CodeLost is the code of a dead outcome whose message was on its way again, until the hub lost it.
const CodeLost = "lost-by-hub"

// Outcome is the outcome of one message at one recipient.
type Outcome struct {
	UID       id.UID
	Site      id.Site
	Outcome   string
	Code      string
	Time      time.Time
	Elsewhere bool // of an answer: the message is no longer in the answered envelope
}

// Answer is a recipient's answer to one envelope. It is a receipt, believed or not, or the hub's
// report that the delivery is dead, or waits again.
type Answer struct {
	Envelope id.Envelope
	Site     id.Site
	Receipt  string
	Doubt    reason.Reason // for not believing the receipt; then there are no outcomes
	Outcomes []Outcome
	Requeued bool // the delivery was dead, and waits again
	Time     time.Time
}

// Answer records an answer and ends the messages that it makes final. A repetition changes nothing.
// An answer to a dropped envelope still counts, because outcomes belong to messages; a dead one
// does not.
//
// A receipt outranks a death also after the messages have failed. Then they end anew, and are filed
// again.
//
// A believed recipient of the envelope implies that its messages were delivered. The table outcome
// has only the exceptions.
func (tx *Tx) Answer(a Answer) error {
	if a.Requeued {
		return tx.requeue(a)
	}
	if a.Receipt == "" {
		if err := tx.fileAgain(a, "= ?3"); err != nil {
			return err
		}
	}
	believed := a.Receipt != "" && a.Doubt.IsZero()
	n, err := tx.change("UPDATE recipient SET receipt = ?, believed = ?, doubt = ?, time = ? "+
		"WHERE envelope_id = ? AND site = ? AND believed = 0",
		a.Receipt, believed, stored(a.Doubt), millis(a.Time), a.Envelope, a.Site)
	if err != nil {
		return err
	}
	var differ []outcomeRow
	var otherUIDs []id.UID
	for _, o := range a.Outcomes {
		if o.Elsewhere {
			otherUIDs = append(otherUIDs, o.UID)
		} else if o.Outcome == OutcomeDelivered {
			continue
		} else if n == 0 {
			continue // the first believed receipt stays
		}
		differ = append(differ, outcomeRow{o.UID, o.Outcome, o.Code})
	}
	outranked := int64(0)
	if n == 1 && believed {
		if outranked, err = tx.outrank(a); err != nil {
			return err
		}
	}
	if len(differ) > 0 {
		if err := tx.differ(a, differ); err != nil {
			return err
		}
	}
	if outranked > 0 {
		if err := tx.endAnew(a); err != nil {
			return err
		}
	}
	if len(otherUIDs) > 0 {
		if err := tx.answerEarlier(a, otherUIDs); err != nil {
			return err
		}
	}
	return tx.conclude(a)
}

// answerEarlier records an answer to a dropped envelope for its messages, and ends those that it
// makes final.
func (tx *Tx) answerEarlier(a Answer, uids []id.UID) error {
	err := tx.exec("INSERT OR IGNORE INTO earlier (uid, envelope_id) SELECT value, ? FROM "+
		"json_each(?)", a.Envelope, list(uids))
	if err != nil {
		return err
	}
	return tx.exec(conclude+"uid IN (SELECT value FROM json_each(?2))"+concluded,
		millis(a.Time), list(uids))
}

// conclude ends the messages of an envelope that an answer makes final, and the envelope with the
// last.
func (tx *Tx) conclude(a Answer) error {
	var differ, wait bool
	err := tx.row(`SELECT EXISTS (SELECT 1 FROM message m INDEXED BY message_envelope `+
		`CROSS JOIN outcome o ON o.uid = m.uid WHERE m.envelope_id <> '' AND m.envelope_id = ?1),
		EXISTS (SELECT 1 FROM recipient WHERE envelope_id = ?1 AND believed = 0)`,
		[]any{a.Envelope}, &differ, &wait)
	switch {
	case err != nil:
		return err
	case differ: // there are exceptions: each message needs its outcome at every recipient
		err = tx.exec(concludeEnvelope+"envelope_id <> '' AND envelope_id = ?2"+concluded,
			millis(a.Time), a.Envelope)
	case !wait: // every recipient has signed for all messages, the usual case
		err = tx.exec("UPDATE message INDEXED BY message_envelope SET finished = ?, "+
			"state = 'delivered', reason = '' WHERE envelope_id <> '' AND envelope_id = ? "+
			"AND state IN ('sealed','published')", millis(a.Time), a.Envelope)
	}
	if err != nil {
		return err
	}
	return tx.exec(`UPDATE envelope SET state = 'final' WHERE envelope_id = ? `+
		`AND state = 'published' AND NOT EXISTS
		(SELECT 1 FROM message INDEXED BY message_envelope WHERE message.envelope_id <> '' `+
		`AND message.envelope_id = envelope.envelope_id `+
		`AND message.state IN ('sealed','published'))`, a.Envelope)
}

// outcomeRow is a row of outcome as a parameter of json_each.
type outcomeRow struct {
	UID     id.UID `json:"uid"`
	Outcome string `json:"outcome"`
	Code    string `json:"code"`
}

// outrank deletes dead outcomes, because the recipient has signed for the messages. It returns
// their number.
func (tx *Tx) outrank(a Answer) (int64, error) {
	return tx.change(`DELETE FROM outcome INDEXED BY outcome_dead WHERE outcome = 'dead' `+
		`AND site = ?
		AND EXISTS (SELECT 1 FROM message m WHERE m.uid = outcome.uid AND m.envelope_id = ?)`,
		a.Site, a.Envelope)
}

// endAnew ends the failed messages of an envelope again, after the death of a delivery was
// outranked.
func (tx *Tx) endAnew(a Answer) error {
	return tx.exec("UPDATE message INDEXED BY message_envelope SET "+unfiled+", "+concluding+
		"envelope_id <> '' AND envelope_id = ?2 AND state = 'failed' "+
		"AND substr(reason, 1, ?3) = ?4", millis(a.Time), a.Envelope, len(notDelivered),
		notDelivered)
}

// requeue takes back the dead outcomes of messages that wait for other answers. Failed messages
// keep theirs, as requeued.
func (tx *Tx) requeue(a Answer) error {
	const dead = ` outcome = 'dead' AND site = ?1 AND EXISTS (SELECT 1 FROM message m ` +
		`WHERE m.uid = outcome.uid AND m.envelope_id = ?2 AND m.state `
	if err := tx.exec("DELETE FROM outcome INDEXED BY outcome_dead WHERE"+dead+
		"IN ('sealed','published'))", a.Site, a.Envelope); err != nil {
		return err
	}
	if err := tx.fileAgain(a, "<> ?3"); err != nil {
		return err
	}
	return tx.exec("UPDATE outcome INDEXED BY outcome_dead SET code = ?3, time = ?4 WHERE"+dead+
		"= 'failed')", a.Site, a.Envelope, CodeRequeued, millis(a.Time))
}

// Requeued lists the envelopes of failed messages that are on their way again. It begins after an
// id, in the order of ids.
func (tx *Tx) Requeued(after id.Envelope, limit int) (list []id.Envelope, err error) {
	err = tx.rows("SELECT DISTINCT m.envelope_id FROM outcome o INDEXED BY outcome_dead "+
		"CROSS JOIN message m ON m.uid = o.uid WHERE o.outcome = 'dead' AND o.code = ? "+
		"AND m.state = 'failed' AND m.envelope_id > ? ORDER BY m.envelope_id LIMIT ?",
		[]any{CodeRequeued, after, limit}, func(rows *sql.Rows) error {
			var e id.Envelope
			err := rows.Scan(&e)
			list = append(list, e)
			return err
		})
	return list, err
}

// LoseRequeued ends the ways of failed messages that were on their way again in an envelope. The
// hub no longer knows it.
func (tx *Tx) LoseRequeued(e id.Envelope, at time.Time) error {
	if err := tx.exec("UPDATE message INDEXED BY message_envelope SET "+unfiled+
		" WHERE envelope_id <> '' AND envelope_id = ?1 AND state = 'failed' AND EXISTS "+
		"(SELECT 1 FROM outcome o WHERE o.uid = message.uid AND o.outcome = 'dead' AND "+
		"o.code = ?2)", e, CodeRequeued); err != nil {
		return err
	}
	return tx.exec("UPDATE outcome SET code = ?1, time = ?2 WHERE outcome = 'dead' AND code = ?3 "+
		"AND uid IN (SELECT uid FROM message INDEXED BY message_envelope WHERE "+
		"envelope_id <> '' AND envelope_id = ?4)", CodeLost, millis(at), CodeRequeued, e)
}

// fileAgain has failed messages filed again, for another explanation. It compares the code of their
// dead outcomes with CodeRequeued, as is.
func (tx *Tx) fileAgain(a Answer, is string) error {
	return tx.exec("UPDATE message INDEXED BY message_envelope SET "+unfiled+
		" WHERE envelope_id <> '' AND envelope_id = ?1 AND state = 'failed' AND EXISTS "+
		"(SELECT 1 FROM outcome o WHERE o.uid = message.uid AND o.site = ?2 AND "+
		"o.outcome = 'dead' AND o.code "+is+")", a.Envelope, a.Site, CodeRequeued)
}

// differ writes the exceptions, which do not follow from the envelope's recipients.
func (tx *Tx) differ(a Answer, rows []outcomeRow) error {
	text, err := json.Marshal(rows)
	if err != nil {
		return err
	}
	return tx.exec(`INSERT INTO outcome (uid, site, outcome, code, time)
		SELECT value->>'uid', ?, value->>'outcome', value->>'code', ? FROM json_each(?) WHERE TRUE
		ON CONFLICT DO UPDATE SET outcome = excluded.outcome, code = excluded.code, `+
		`time = excluded.time WHERE outcome.outcome = 'dead'`,
		a.Site, millis(a.Time), string(text))
}

// A message ends when every recipient of its envelope has a final outcome for it.
var (
	conclude         = "UPDATE message SET " + concluding
	concludeEnvelope = "UPDATE message INDEXED BY message_envelope SET " + concluding
	concluding       = `finished = ?1, state = CASE WHEN ` + badSites +
		` IS NULL THEN 'delivered' ELSE 'failed' END,
		reason = COALESCE('` + notDelivered + `["' || ` + badSites + ` || '"]}', '') WHERE `
	// notDelivered is the stored reason up to its list of sites.
	notDelivered = strings.TrimSuffix(stored(reason.New("not-delivered", "sites", []string{})),
		"[]}")
)

const (
	// unfiled has a final message filed again. Another filed_at tells that to a filing under way:
	// see Filed.
	unfiled = `filed_at = CASE filed WHEN 1 THEN max(filed_at, finished) ELSE filed_at END + 1, ` +
		`filed = 0`

	badSites = `(SELECT GROUP_CONCAT(o.site, '","') FROM outcome o JOIN recipient r ` +
		`ON r.envelope_id = message.envelope_id AND r.site = o.site
		WHERE o.uid = message.uid AND o.outcome <> 'delivered')`
	concluded = ` AND state IN ('sealed','published') AND NOT EXISTS (SELECT 1 FROM recipient r ` +
		`WHERE r.envelope_id = message.envelope_id AND r.believed = 0
		AND NOT EXISTS (SELECT 1 FROM outcome o WHERE o.uid = message.uid AND o.site = r.site))`
)

// Outcomes lists the outcomes of a message at the recipients that have answered.
func (tx *Tx) Outcomes(uid id.UID) ([]Outcome, error) {
	var list []Outcome
	err := tx.rows(`SELECT site, outcome, code, time FROM outcome WHERE uid = ?1 UNION ALL
		SELECT r.site, 'delivered', '', r.time FROM message m `+
		`JOIN recipient r ON r.envelope_id = m.envelope_id
		WHERE m.uid = ?1 AND r.believed = 1 AND NOT EXISTS (SELECT 1 FROM outcome o `+
		`WHERE o.uid = m.uid AND o.site = r.site) ORDER BY site`,
		[]any{uid}, func(rows *sql.Rows) error {
			o := Outcome{UID: uid}
			var at int64
			err := rows.Scan(&o.Site, &o.Outcome, &o.Code, &at)
			o.Time = fromMillis(at)
			list = append(list, o)
			return err
		})
	return list, err
}

// Receipt is a recipient's receipt of a message, which may be of an earlier envelope.
type Receipt struct {
	Envelope id.Envelope
	Recipient
}

// Receipts lists the receipts of a message, one of each site. Believed ones come before others, and
// of these the first.
func (tx *Tx) Receipts(uid id.UID) (receipts []Receipt, err error) {
	err = tx.rows(`SELECT envelope_id, site, receipt, believed, doubt, time FROM recipient `+
		`WHERE receipt <> '' AND envelope_id IN (SELECT envelope_id FROM message WHERE uid = ?1 `+
		`UNION ALL SELECT envelope_id FROM earlier WHERE uid = ?1) `+
		`ORDER BY site, believed DESC, time, seq`, []any{uid}, func(rows *sql.Rows) error {
		var r Receipt
		var at int64
		err := rows.Scan(&r.Envelope, &r.Site, &r.Recipient.Receipt, &r.Believed,
			(*column)(&r.Doubt), &at)
		r.Time = fromMillis(at)
		receipts = append(receipts, r)
		return err
	})
	return slices.CompactFunc(receipts, func(a, b Receipt) bool { return a.Site == b.Site }), err
}

// DoubtedSites lists the sites with a receipt that is not believed.
func (tx *Tx) DoubtedSites() (sites []id.Site, err error) {
	err = tx.rows("SELECT DISTINCT site FROM recipient INDEXED BY recipient_doubt "+
		"WHERE doubt <> ''", nil, func(rows *sql.Rows) error {
		var site id.Site
		err := rows.Scan(&site)
		sites = append(sites, site)
		return err
	})
	return sites, err
}

// InDoubt lists messages of a tray at the hub with a receipt that is not believed, oldest first.
func (tx *Tx) InDoubt(tray string, limit int) ([]Outgoing, error) {
	return tx.outgoingFrom(byEnvelope+"envelope_id IN (SELECT envelope_id FROM recipient "+
		"INDEXED BY recipient_doubt WHERE doubt <> '') AND tray = ? "+
		"AND state IN ('sealed','published') ORDER BY seq LIMIT ?", tray, limit)
}

// Doubted lists a site's stored answers that are not believed, in the order of their rows. It
// begins after a row, lists at most limit, and returns the last row of the list.
func (tx *Tx) Doubted(site id.Site, after int64, limit int) (list []Answer, last int64, err error) {
	last = after
	err = tx.rows(`SELECT seq, envelope_id, site, receipt, doubt, time FROM recipient
		INDEXED BY recipient_doubt WHERE doubt <> '' AND site = ? AND seq > ? ORDER BY seq LIMIT ?`,
		[]any{site, after, limit}, func(rows *sql.Rows) error {
			var a Answer
			var at int64
			err := rows.Scan(&last, &a.Envelope, &a.Site, &a.Receipt, (*column)(&a.Doubt), &at)
			a.Time = fromMillis(at)
			list = append(list, a)
			return err
		})
	return list, last, err
}
