package trust

import (
	"time"

	"sealpost/agent/ledger"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/statement"
)

// overlapMargin ends an overlap: in it nothing is published for the former key.
// A clock may be wrong, and the recipient has to open the envelope in time.
const overlapMargin = 24 * time.Hour

// held describes a changed recipient key that is not used yet. It is zero for one that is.
type held struct {
	until     time.Time
	meanwhile string // the recipient key before, if its site still opens with it
}

// hold returns until when a changed key is not used. The key of a site that was only seen can be a
// thief's, and its users have that time to notice it. Meanwhile the key before is used, if the
// change was planned and its overlap is longer than the hold.
func (t *Trust) hold(tx *ledger.Tx, pin ledger.Pin, k statement.RecipientKey) (h held, err error) {
	if pin.Version == 0 || pin.RecipientKey == k.Recipient {
		return h, nil
	}
	known, shown, err := tx.Rekeyed(k.Site)
	if err != nil {
		return h, err
	}
	if known != k.Hash() {
		shown = t.Now()
		t.Log.Warn("another recipient key is shown", "peer", k.Site, "fingerprint", pin.Identity,
			"recipient_key", statement.RecipientKeyHash(k.Recipient), "version", k.Version,
			"standing", t.ground(pin).Ground, "former_opens_until", k.PrevOpens)
		if err := tx.SetRekeyed(k.Site, k.Hash(), shown); err != nil {
			return h, err
		}
	}
	until := shown.Add(t.RekeyHold)
	if t.ground(pin).Ground != Seen || !t.Now().Before(until) {
		return h, nil
	}
	h.until = until
	end := k.PrevOpens.Add(-overlapMargin)
	if k.Prev == pin.Statement && until.Before(end) {
		h.meanwhile = pin.RecipientKey
		err = tx.SetOverlap(k.Site, statement.RecipientKeyHash(pin.RecipientKey), end)
	}
	return h, err
}

// heldKey returns the reason for which a changed key is not used yet.
func (t *Trust) heldKey(site id.Site, until time.Time, identity id.Hash) reason.Reason {
	return reason.New("key-held", "site", site, "since", until.Add(-t.RekeyHold), "until", until,
		"shown", Fingerprint(site, identity))
}

// Rekeyed is the newest recipient key of a site after its first one.
type Rekeyed struct {
	Shown time.Time `json:"new_key_since,omitzero"` // its first sight; none: there is no such key
	Held  time.Time `json:"new_key_held,omitzero"`  // it is not used before; none: it is used
}

// Rekeyed returns the newest recipient key of a pinned site after its first one.
func (t *Trust) Rekeyed(tx *ledger.Tx, pin ledger.Pin) (r Rekeyed, err error) {
	known, shown, err := tx.Rekeyed(pin.Site)
	if err != nil || known == "" {
		return r, err
	}
	r.Shown = shown
	if known != pin.Statement && pin.Version > 0 && t.ground(pin).Ground == Seen {
		r.Held = shown.Add(t.RekeyHold)
	}
	return r, nil
}

// Reason returns the change for a user; none without one.
func (r Rekeyed) Reason() reason.Reason {
	if r.Shown.IsZero() {
		return reason.Reason{}
	}
	return reason.New("key-changed", "since", r.Shown, "until", r.Held)
}
