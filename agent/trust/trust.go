// Package trust decides for which sites this site encrypts, and which receipts it believes.
//
// The authority decides which sites may connect. The pins here decide the rest, because the hub
// runs the authority and need not be trusted. A pin is made when a site is first seen. A later
// difference is refused and kept for users, and only a statement of the pinned identity or a user
// resolves it. An approval has the sites of an address: the hub proposes exactly those, or nothing
// is sent. Every decision is durable in the ledger before it is returned. The package must not know
// files or the network.
package trust

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"sealpost/agent/ledger"
	"sealpost/certs"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/statement"
)

// ErrPin means that a site differs from its pin. A retry succeeds after a user has resolved it.
var ErrPin = reason.Err("differs-from-pin")

// Waiting is the reason for sending nothing to an address for now. A retry succeeds once the cause
// is resolved.
type Waiting struct{ Reason reason.Reason }

func (w *Waiting) Error() string { return w.Reason.String() }

// Unwrap returns the reason as an error.
func (w *Waiting) Unwrap() error { return w.Reason.AsError() }

// Trust holds the pins and approvals of a site. It is safe for concurrent use.
type Trust struct {
	Ledger  *ledger.Ledger
	Network id.Hash
	Suite   string // hybrid or x25519
	// RequireCompared means that nothing is sealed for sites that no user has compared, unless they
	// are on the roster.
	RequireCompared bool
	// RekeyHold is how long a changed recipient key of a site that was only seen is not used.
	RekeyHold time.Duration
	// DirectToAny means that a direct address needs no approval.
	DirectToAny bool
	Verifier    certs.Verifier
	Now         func() time.Time
	Log         *slog.Logger

	// RequireRoster means that only sites on the roster are trusted. A roster may say so too.
	RequireRoster bool

	rosterChange   sync.Mutex // held while a roster is taken
	distrustChange sync.Mutex // held while the distrusted keys change
	// mu guards the fields below.
	mu             sync.Mutex
	proposals      map[string][]Proposed
	roster         *statement.Roster // the newest one; nil: none
	rosterRequired bool              // a roster has said so
	distrusted     []DistrustedKey   // by the admin, by site
}

// Identity pins the identity of a new site's signature, or compares it with the pin: ErrPin.
func (t *Trust) Identity(ctx context.Context, site id.Site, identity id.Hash) error {
	pin, err := t.pin(ctx, site)
	if err == nil && pin.Identity == identity {
		return nil
	}
	return t.update(ctx, func(tx *ledger.Tx) (bool, error) {
		return t.identity(tx, site, identity)
	})
}

// identity compares a site's identity with its pin, or makes the pin. It returns true after it has
// recorded trouble.
func (t *Trust) identity(tx *ledger.Tx, site id.Site, identity id.Hash) (bool, error) {
	pin, err := tx.Pin(site)
	switch {
	case errors.Is(err, ledger.ErrNotFound):
		t.Log.Info("pinned", "peer", site, "fingerprint", identity)
		return false, tx.SetPin(ledger.Pin{Site: site, Identity: identity, Seen: t.Now()})
	case err != nil:
		return false, err
	case pin.Identity != identity && t.succeeds(pin, identity):
		t.Log.Warn("identity replaced by the roster", "peer", site, "before", pin.Identity,
			"fingerprint", identity)
		return false, tx.SetPin(ledger.Pin{Site: site, Identity: identity, Seen: t.Now()})
	case pin.Identity != identity:
		return true, t.record(tx, pin, identity, reason.New("other-identity"))
	}
	return false, nil
}

// record records the offered difference from a pin, and logs it as an error once for each.
func (t *Trust) record(tx *ledger.Tx, pin ledger.Pin, offered id.Hash,
	trouble reason.Reason) error {
	if pin.Trouble == trouble && pin.Offered == offered {
		return nil
	}
	t.Log.Error("pin differs", "peer", pin.Site, "trouble", trouble, "pinned", pin.Identity,
		"offered", offered)
	pin.Trouble, pin.Offered = trouble, offered
	return tx.SetPin(pin)
}

// update runs do in one commit. If do reports trouble, it commits too and returns ErrPin.
func (t *Trust) update(ctx context.Context, do func(*ledger.Tx) (bool, error)) error {
	var trouble bool
	err := t.Ledger.Update(ctx, func(tx *ledger.Tx) (err error) {
		trouble, err = do(tx)
		return err
	})
	if err == nil && trouble {
		return ErrPin
	}
	return err
}

func (t *Trust) pin(ctx context.Context, site id.Site) (pin ledger.Pin, err error) {
	err = t.Ledger.View(ctx, func(tx *ledger.Tx) (err error) {
		pin, err = tx.Pin(site)
		return err
	})
	return pin, err
}

// olderKey is the trouble of a site that shows a key which it had before. The hub may be older.
const olderKey reason.Code = "older-key"

// Advice returns the user's options for a difference from a pin, or none without trouble.
func Advice(p ledger.Pin) reason.Reason {
	switch {
	case p.Trouble.IsZero():
		return reason.Reason{}
	case p.Offered != p.Identity:
		return reason.New("compare-identity", "site", p.Site, "fingerprint", p.Offered)
	case p.Trouble.Code == reason.SharedKey:
		return reason.New("ask-both-sites")
	case p.Trouble.Code == olderKey:
		return reason.New("ask-older-key", "site", p.Site)
	}
	return reason.New("compare-key", "site", p.Site)
}

// ParseFingerprint reads a site's fingerprint as users write it, with spaces or colons.
func ParseFingerprint(site id.Site, fingerprint string) (id.Hash, error) {
	identity, err := id.ParseHash(strings.ToLower(strings.Join(
		strings.FieldsFunc(fingerprint, func(r rune) bool { return r == ' ' || r == ':' }), "")))
	if err != nil {
		err = reason.Err("fingerprint-of", "site", site, "why", err)
	}
	return identity, err
}

// Accept records that a user has compared a site's fingerprint, over another channel than the hub.
// The site's next statement pins its recipient key anew. If this identity was pinned already and
// only another one was offered, the pin stays, and the offered one is wrong. It refuses the
// identity of another site. It returns the pin before, which is zero at the first sight.
func (t *Trust) Accept(ctx context.Context, site id.Site,
	fingerprint string) (before ledger.Pin, err error) {
	identity, err := ParseFingerprint(site, fingerprint)
	if err != nil {
		return before, err
	}
	if r, _ := t.currentRoster(); r != nil && r.Distrusts(identity) {
		return before, reason.Err("roster-distrusts", "site", site, "fingerprint", identity)
	}
	if since := t.distrusts(identity); !since.IsZero() {
		return before, reason.Err("trusts-distrusted", "site", site, "fingerprint", identity,
			"since", since)
	}
	err = t.Ledger.Update(ctx, func(tx *ledger.Tx) error {
		owner, err := tx.IdentityOf(identity, site)
		if err == nil && owner != "" {
			err = reason.Err("fingerprint-of-other", "site", site, "other", owner)
		}
		if err != nil {
			return err
		}
		pin, err := tx.Pin(site)
		if err != nil && !errors.Is(err, ledger.ErrNotFound) {
			return err
		}
		before = pin
		t.Log.Info("trusted", "peer", site, "fingerprint", identity, "by", "a user")
		if pin.Identity == identity && (pin.Trouble.IsZero() || pin.Offered != identity) {
			pin.Trouble, pin.Offered, pin.Compared = reason.Reason{}, "", t.Now()
			return tx.SetPin(pin)
		}
		return tx.SetPin(ledger.Pin{Site: site, Identity: identity, Seen: t.Now(),
			Compared: t.Now()})
	})
	return before, err
}

// Approve sets the approved sites of an address; none means the hub's first complete proposal. It
// pins approved sites to the identities that were shown, so that the hub cannot propose another one
// after the comparison.
func (t *Trust) Approve(ctx context.Context, address id.Address, sites []id.Site,
	shown ...Proposed) error {
	if err := address.Validate(); err != nil {
		return err
	}
	sites = slices.Clone(sites)
	slices.Sort(sites)
	sites = slices.Compact(sites)
	for _, s := range sites {
		if _, err := id.ParseSite(string(s)); err != nil {
			return err
		}
	}
	t.Log.Info("approved", "address", address.String(), "sites", sites)
	return t.Ledger.Update(ctx, func(tx *ledger.Tx) error {
		if err := tx.Approve(address.String(), sites); err != nil {
			return err
		}
		for _, p := range shown {
			_, err := tx.Pin(p.Site)
			if p.Identity == "" || !slices.Contains(sites, p.Site) || err == nil {
				continue
			}
			if _, err := t.identity(tx, p.Site, p.Identity); err != nil {
				return err
			}
		}
		return nil
	})
}
