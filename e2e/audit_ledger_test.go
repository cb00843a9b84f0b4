//go:build linux

package e2e

import (
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"slices"

	"sealpost/spool"
)

// row is one message in a lab's ledger.
type row struct {
	uid, id, name, state, envelope, digest string
	key                                    []byte
	size                                   int64
	filed                                  bool
	outcomes                               int // that say delivered
}

// checkLedgers holds the ledgers of labs and centres against the drops.
func (a *audit) checkLedgers() {
	for _, s := range a.w.sites {
		if setAside, err := filepath.Glob(s.at("state", "*set-aside")); err != nil ||
			(len(setAside) > 0) != s.mixed {
			a.problem("%s: of the ledger's files are set aside: %v, %v", s.name, setAside, err)
		}
		if s.role != "send" {
			a.checkReceived(s)
		}
		if s.role != "receive" {
			a.checkSent(s)
		}
	}
}

func (a *audit) checkSent(s *site) {
	rows := map[string]row{}
	s.query(func(r *sql.Rows) error {
		var m row
		err := r.Scan(&m.uid, &m.id, &m.name, &m.state, &m.envelope, &m.digest, &m.key, &m.size,
			&m.filed, &m.outcomes)
		rows[m.id] = m
		return err
	}, `SELECT uid, message_id, name, state, envelope_id, digest, fingerprint_key, size, filed,
		(SELECT count(DISTINCT r.site) FROM recipient r
			LEFT JOIN outcome o ON o.uid = message.uid AND o.site = r.site
			WHERE r.envelope_id = message.envelope_id
			AND (o.outcome = 'delivered' OR o.outcome IS NULL AND r.believed)) FROM message`)
	receipts := a.readReceipts(s)
	for _, d := range a.dropsOf(s, delivered) {
		m, isKnown := rows[a.ids[d]]
		delete(rows, m.id)
		switch {
		case s.forgot && (!isKnown || m.envelope == ""):
			a.trustHub(s, a.ids[d], m.uid)
			continue // its ledger, and the receipts in it, are gone
		case !isKnown:
			a.problem("%s: the ledger does not know %s, %s", s.name, a.ids[d], d)
			continue
		case m.name != d.name || m.size != d.size || m.state != "delivered" || !m.filed:
			a.problem("%s: the ledger says of %s: %+v", s.name, d, m)
		case m.digest != hex.EncodeToString(d.digest()):
			a.problem("%s: the ledger has the digest %s for %s, and it is %x", s.name, m.digest, d,
				d.digest())
		}
		a.uids[m.uid] = m.id
		a.checkReceipts(s, d, m, receipts[m.envelope])
	}
	for _, m := range rows {
		end := map[string]fate{"withdrawn": withdrawn, "failed": recalled}[m.state]
		if end == delivered || !slices.ContainsFunc(a.dropsOf(s, end),
			func(d *drop) bool { return d.name == m.name }) {
			a.problem("%s: the ledger has a message that nobody dropped: %+v", s.name, m)
		}
	}
}

// trustHub takes a message's identity from the hub's records, where the lab's own ledger is gone.
// There must be one.
func (a *audit) trustHub(s *site, id, uid string) {
	for _, r := range a.records {
		if string(r.Message) != id {
			continue
		}
		if uid == "" {
			uid = string(r.UID)
		}
		if string(r.UID) != uid {
			a.problem("%s: %s is %s and %s", s.name, id, uid, r.UID)
		}
	}
	a.uids[uid] = id
}

// readReceipts verifies all receipts that the lab believes, and returns them by envelope and
// recipient.
func (a *audit) readReceipts(s *site) map[string]map[string]*receipt {
	all := map[string]map[string]*receipt{}
	s.query(func(r *sql.Rows) error {
		var envelope, site, jws string
		var believed bool
		if err := r.Scan(&envelope, &site, &jws, &believed); err != nil {
			return err
		}
		if all[envelope] == nil {
			all[envelope] = map[string]*receipt{}
		}
		all[envelope][site] = nil
		if jws == "" || !believed {
			return nil
		}
		rec, err := a.w.openReceipt(jws)
		if err == nil && (rec.Envelope != envelope || rec.Recipient != site ||
			rec.Sender != s.name || rec.signer != site) {
			err = fmt.Errorf("it is of %s for %s by %s", rec.Sender, rec.Envelope, rec.signer)
		}
		if err != nil {
			a.problem("%s: the receipt of %s for envelope %s: %v", s.name, site, envelope, err)
		}
		all[envelope][site] = rec
		return nil
	}, `SELECT envelope_id, site, receipt, believed FROM recipient`)
	return all
}

// checkReceipts wants a receipt for the drop from each of its recipients, and from no other site.
func (a *audit) checkReceipts(s *site, d *drop, m row, receipts map[string]*receipt) {
	mac := hmac.New(sha256.New, m.key)
	mac.Write(d.digest())
	fingerprint := hex.EncodeToString(mac.Sum(nil))
	to := d.recipients()
	for _, c := range to {
		rec := receipts[c.name]
		if rec == nil {
			a.problem("%s: no receipt of %s for %s", s.name, c.name, d)
			continue
		}
		i := slices.IndexFunc(rec.Messages, func(r receiptMessage) bool { return r.UID == m.uid })
		if i < 0 || rec.Messages[i] != (receiptMessage{UID: m.uid, Message: m.id,
			Outcome: "delivered", Fingerprint: fingerprint}) {
			a.problem("%s: the receipt of %s does not say that %s was delivered", s.name, c.name, d)
		}
	}
	if len(receipts) != len(to) {
		a.problem("%s: %s was sealed for %v", s.name, d, sortedKeys(receipts))
	}
	if m.outcomes != len(to) {
		a.problem("%s: the ledger knows %d outcomes of %s, want %d", s.name, m.outcomes, d, len(to))
	}
}

func (a *audit) checkReceived(s *site) {
	want := a.meantFor(s)
	placed, all := s.sum(`SELECT count(*) FROM received WHERE state = 'placed'`),
		s.sum(`SELECT count(*) FROM received`)
	if placed != all || placed > want || (placed < want && !s.forgot) {
		a.problem("%s: the ledger has %d messages placed of %d, want %d", s.name, placed, all, want)
	}
	open := `SELECT count(*) FROM delivery WHERE target <> '' OR receipt = ''`
	if a.w.lost || s.forgot {
		// A message that was being downloaded as the hub was lost comes again in another envelope,
		// and the first one never ends. Nor does one that was being downloaded as the ledger was
		// copied, and was settled before the copy was put back.
		open = `SELECT count(*) FROM delivery WHERE target <> ''`
	}
	if n := s.sum(open); n != 0 {
		a.problem("%s: %d deliveries are not settled", s.name, n)
	}
}

// checkRecords wants the hub to know each message once for each recipient, as delivered.
func (a *audit) checkRecords() {
	type delivery struct{ uid, recipient string }
	have := map[delivery]int{}
	for _, r := range a.records {
		have[delivery{string(r.UID), string(r.Recipient)}]++
		if a.uids[string(r.UID)] != string(r.Message) || r.State != spool.OutcomeDelivered ||
			r.Acknowledged.IsZero() {
			a.problem("the hub's record of %s for %s: %+v", r.Message, r.Recipient, r)
		}
	}
	for _, d := range a.w.drops {
		for uid, id := range a.uids {
			if d.fate != delivered || id != a.ids[d] {
				continue
			}
			for _, c := range d.recipients() {
				if n := have[delivery{uid, c.name}]; n != 1 && (n != 0 || !a.w.lost) &&
					(n == 0 || !d.lab.forgot) {
					a.problem("the hub has %d records of %s for %s", n, id, c.name)
				}
			}
		}
	}
}
