package trust

import (
	"time"

	"sealpost/agent/ledger"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/statement"
)

// hold returns until when a changed key is not used; zero: it can be used. The key of a site that
// was only seen can be a thief's, and its users have that time to notice it.
func (t *Trust) hold(tx *ledger.Tx, pin ledger.Pin,
	k statement.RecipientKey) (until time.Time, err error) {
	if pin.Version == 0 || pin.RecipientKey == k.Recipient {
		return until, nil
	}
	known, shown, err := tx.Rekeyed(k.Site)
	if err != nil {
		return until, err
	}
	if known != k.Hash() {
		shown = t.Now()
		t.Log.Warn("another recipient key is shown", "peer", k.Site, "fingerprint", pin.Identity,
			"recipient_key", statement.RecipientKeyHash(k.Recipient), "version", k.Version,
			"standing", t.ground(pin).Ground)
		if err := tx.SetRekeyed(k.Site, k.Hash(), shown); err != nil {
			return until, err
		}
	}
	until = shown.Add(t.RekeyHold)
	if t.ground(pin).Ground != Seen || !t.Now().Before(until) {
		return time.Time{}, nil
	}
	return until, nil
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
