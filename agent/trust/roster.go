package trust

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sealpost/agent/ledger"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/statement"
)

// The kept settings of the roster: the newest one, a JWS, and whether one has ever required itself.
const (
	rosterKey         = "roster"
	rosterRequiredKey = "roster-required"
)

// RosterState describes the newest roster that this site has. Its number is 0 without one.
type RosterState struct {
	Number int64     `json:"number"`
	Signed time.Time `json:"signed,omitzero"`
	Ends   time.Time `json:"ends,omitzero"`
	// this site trusts only those on it
	Required   bool `json:"required"`
	Sites      int  `json:"sites"`
	Distrusted int  `json:"distrusted"` // keys
}

// HasEnded reports whether the roster is older than its age.
func (s RosterState) HasEnded(now time.Time) bool { return s.Number > 0 && !now.Before(s.Ends) }

// EndsSoon reports whether three quarters of its time are over.
func (s RosterState) EndsSoon(now time.Time) bool {
	return s.Number > 0 && s.Ends.Sub(now) < s.Ends.Sub(s.Signed)/4
}

// Load reads the roster and the distrusted keys from the ledger, at the start.
func (t *Trust) Load(ctx context.Context) error {
	if err := t.loadDistrusted(ctx); err != nil {
		return err
	}
	var jws, required string
	err := t.Ledger.View(ctx, func(tx *ledger.Tx) (err error) {
		if jws, err = tx.Kept(rosterKey); err == nil {
			required, err = tx.Kept(rosterRequiredKey)
		}
		return err
	})
	if err != nil || jws == "" {
		return err
	}
	r, err := statement.OpenRoster(jws, t.Verifier)
	if err != nil {
		return reason.Err("roster-damaged", "why", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.roster, t.rosterRequired = &r, required != ""
	return nil
}

// Roster returns the state of the roster.
func (t *Trust) Roster() RosterState {
	r, required := t.currentRoster()
	if r == nil {
		return RosterState{Required: required}
	}
	return RosterState{Number: r.Number, Signed: r.Signed, Ends: r.Ends, Required: required,
		Sites: len(r.Sites), Distrusted: len(r.Distrusted)}
}

func (t *Trust) currentRoster() (r *statement.Roster, required bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.roster, t.rosterRequired || t.RequireRoster
}

// TakeRoster verifies a roster and makes it the newest one, durably. It returns whether it is new.
// An older one is refused, and so is one of the future. One that has ended is taken for its
// distrusted keys.
func (t *Trust) TakeRoster(ctx context.Context, jws string) (isNew bool, err error) {
	next, err := statement.OpenRoster(jws, t.Verifier)
	if err != nil {
		return false, err
	}
	if now := t.Now(); next.Signed.After(now.Add(maxRosterSkew)) {
		return false, reason.Err("roster-of-future", "n", next.Number, "signed", next.Signed,
			"now", now)
	}
	t.rosterChange.Lock()
	defer t.rosterChange.Unlock()
	held, _ := t.currentRoster()
	if isNew, err = next.Replaces(held); err != nil || !isNew {
		return false, err
	}
	err = t.Ledger.Update(ctx, func(tx *ledger.Tx) error {
		if next.Required {
			if err := tx.Keep(rosterRequiredKey, "yes"); err != nil {
				return err
			}
		}
		return tx.Keep(rosterKey, jws)
	})
	if err != nil {
		return false, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.roster, t.rosterRequired = &next, t.rosterRequired || next.Required
	t.Log.Info("roster taken", "number", next.Number, "ends", next.Ends, "required",
		t.rosterRequired, "sites", len(next.Sites), "distrusted", len(next.Distrusted))
	return true, nil
}

// maxRosterSkew is the most by which the clock of the root's computer may be ahead.
const maxRosterSkew = 10 * time.Minute

// capacity is the act of a site that needs trust.
type capacity int

const (
	asRecipient capacity = iota // of a file: it needs the role and a roster that has not ended
	asSender                    // of a file: the same
	asSigner                    // of a receipt for a file that was sent before
)

// offRoster returns why the admin or the roster does not let a site with an identity act. The pin
// is that of the site, and zero without one.
//
// A distrusted key is always refused. A required roster must be there, not ended, and name the site
// with this identity and role. Otherwise a roster only contradicts another identity than the one
// that it names, unless a user has compared that one after the roster was signed.
func (t *Trust) offRoster(pin ledger.Pin, site id.Site, identity id.Hash,
	as capacity) reason.Reason {
	r, required := t.currentRoster()
	since := t.distrusts(identity)
	switch {
	case !since.IsZero():
		return reason.New("distrusted-here", "site", site, "fingerprint", identity, "since", since)
	case r != nil && r.Distrusts(identity):
		return reason.New("roster-distrusts", "site", site, "fingerprint", identity)
	case r == nil && required && as != asSigner:
		return reason.New("roster-missing")
	case r == nil:
		return reason.Reason{}
	}
	hasEnded := !t.Now().Before(r.Ends)
	if hasEnded && required && as != asSigner {
		return reason.New("roster-too-old", "n", r.Number, "ends", r.Ends)
	}
	if hasEnded && !required {
		return reason.Reason{}
	}
	on, isNamed := r.Find(site)
	isCompared := pin.Identity == identity && pin.Compared.After(r.Signed)
	switch {
	case !isNamed && required && as != asSigner:
		return reason.New("roster-without", "site", site, "n", r.Number)
	case isNamed && on.Identity != identity && (required || !isCompared):
		return reason.New("roster-other-key", "site", site, "n", r.Number,
			"named", on.Identity, "fingerprint", identity)
	case required && as == asRecipient && !on.CanReceive(),
		required && as == asSender && !on.CanSend():
		return reason.New("roster-other-role", "site", site, "n", r.Number, "role", on.Role)
	}
	return reason.Reason{}
}

// checkRoster is offRoster with the pin of the ledger.
func (t *Trust) checkRoster(ctx context.Context, site id.Site, identity id.Hash,
	as capacity) (reason.Reason, error) {
	pin, err := t.pin(ctx, site)
	if err != nil && !errors.Is(err, ledger.ErrNotFound) {
		return reason.Reason{}, err
	}
	return t.offRoster(pin, site, identity, as), nil
}

// StillTrusted reports whether a sealed envelope may go to its recipients. A roster or a distrust
// may have come since it was sealed, or a recipient may soon destroy the key.
func (t *Trust) StillTrusted(ctx context.Context,
	recipients []ledger.Recipient) (isTrusted bool, err error) {
	r, required := t.currentRoster()
	isOpen := r == nil && !required && len(t.Distrusted()) == 0
	for _, to := range recipients {
		err := t.Ledger.View(ctx, func(tx *ledger.Tx) error {
			former, until, err := tx.Overlap(to.Site)
			isTrusted = former != to.Key || t.Now().Before(until)
			if err != nil || isOpen || !isTrusted {
				return err
			}
			pin, err := tx.Pin(to.Site)
			isTrusted = err == nil && t.offRoster(pin, to.Site, pin.Identity, asRecipient).IsZero()
			if errors.Is(err, ledger.ErrNotFound) {
				return nil
			}
			return err
		})
		if err != nil || !isTrusted {
			return false, err
		}
	}
	return true, nil
}

// RosterIdentity returns the identity that the roster names for a site; empty: none.
func (t *Trust) RosterIdentity(site id.Site) id.Hash {
	r, _ := t.currentRoster()
	if r == nil || !t.Now().Before(r.Ends) {
		return ""
	}
	on, _ := r.Find(site)
	return on.Identity
}

// isRostered reports whether a roster that has not ended names a site with an identity.
func (t *Trust) isRostered(site id.Site, identity id.Hash) bool {
	r, _ := t.currentRoster()
	if r == nil || !t.Now().Before(r.Ends) || r.Distrusts(identity) {
		return false
	}
	on, _ := r.Find(site)
	return on.Identity == identity
}

// succeeds reports whether an identity takes the place of a pinned one without a user. The roster
// names it, and no user has compared the pinned one since the roster was signed. Where comparing is
// required, none has ever compared it: only a user undoes a comparison there.
func (t *Trust) succeeds(pin ledger.Pin, identity id.Hash) bool {
	if t.RequireCompared && !pin.Compared.IsZero() || !t.distrusts(identity).IsZero() {
		return false
	}
	r, _ := t.currentRoster()
	return t.isRostered(pin.Site, identity) && !pin.Compared.After(r.Signed)
}

// Sender checks the identity of a file's sender, by the roster and the pin. ErrPin is among the
// causes of a refusal: a later try may succeed.
func (t *Trust) Sender(ctx context.Context, site id.Site, identity id.Hash) error {
	why, err := t.checkRoster(ctx, site, identity, asSender)
	if err != nil {
		return err
	}
	if !why.IsZero() {
		return &offRosterError{why}
	}
	return t.Identity(ctx, site, identity)
}

// offRosterError is a reason of the roster as an error that is ErrPin too.
type offRosterError struct{ why reason.Reason }

func (e *offRosterError) Error() string   { return e.why.String() }
func (e *offRosterError) Unwrap() []error { return []error{e.why.AsError(), ErrPin} }

// RosterAge returns why nothing is taken from any site now: a required roster is missing or has
// ended.
func (t *Trust) RosterAge() reason.Reason {
	switch s := t.Roster(); {
	case !s.Required:
		return reason.Reason{}
	case s.Number == 0:
		return reason.New("roster-missing")
	case s.HasEnded(t.Now()):
		return reason.New("roster-too-old", "n", s.Number, "ends", s.Ends)
	}
	return reason.Reason{}
}

// Outdated lists the pinned sites for which the roster names another identity.
func (t *Trust) Outdated(ctx context.Context) (sites []id.Site, err error) {
	r, _ := t.currentRoster()
	if r == nil {
		return nil, nil
	}
	err = t.Ledger.View(ctx, func(tx *ledger.Tx) error {
		pins, err := tx.Pins()
		for _, p := range pins {
			if on, ok := r.Find(p.Site); ok && on.Identity != p.Identity {
				sites = append(sites, p.Site)
			}
		}
		return err
	})
	if err != nil {
		err = fmt.Errorf("compare the pins with the roster: %w", err)
	}
	return sites, err
}
