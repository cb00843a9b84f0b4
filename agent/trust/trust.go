// Package trust decides whom this site encrypts to and whom it believes.
//
// The authority decides who may connect; the pins here decide the rest, because the hub, which runs the authority, need
// not be trusted. A pin is made when a site is first seen; what differs from it later is refused, kept for people to see,
// and mended only by a statement of the pinned identity or by a person. Approvals say to which sites an address may lead:
// exactly those the hub proposes, in both directions, or nothing is sent. Everything is durable in the ledger before it is
// answered. The package must not know of files or of the network.
package trust

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"sealpost/agent/ledger"
	"sealpost/certs"
	"sealpost/internal/id"
	"sealpost/internal/words"
)

// ErrPin says that a site shows something else than what is pinned for it. It heals when a person has looked.
var ErrPin = errors.New(words.DiffersFromPin)

// Waiting is why nothing is sent to an address for now, in words for people. It heals when its cause goes.
type Waiting struct{ Reason string }

func (w *Waiting) Error() string { return w.Reason }

func waiting(reason string) *Waiting { return &Waiting{Reason: reason} }

// Trust is safe for concurrent use.
type Trust struct {
	Ledger   *ledger.Ledger
	Network  id.Hash
	Suite    string // hybrid or x25519
	Verifier certs.Verifier
	Now      func() time.Time
	Log      *slog.Logger

	mu        sync.Mutex // guards proposals
	proposals map[string][]Proposed
}

// Identity pins the identity that a site's signature shows, when the site is first seen, or compares it with the pin:
// ErrPin.
func (t *Trust) Identity(ctx context.Context, site id.Site, identity id.Hash) error {
	pin, err := t.pin(ctx, site)
	if err == nil && pin.Identity == identity {
		return nil
	}
	return t.update(ctx, func(tx *ledger.Tx) (bool, error) { return t.identity(tx, site, identity) })
}

// identity compares a site's identity with its pin, or makes the pin. It reports whether there was trouble, which it
// has then written down.
func (t *Trust) identity(tx *ledger.Tx, site id.Site, identity id.Hash) (bool, error) {
	pin, err := tx.Pin(site)
	switch {
	case errors.Is(err, ledger.ErrNotFound):
		t.Log.Info("pinned", "peer", site, "fingerprint", identity)
		return false, tx.SetPin(ledger.Pin{Site: site, Identity: identity, Seen: t.Now()})
	case err != nil:
		return false, err
	case pin.Identity != identity:
		return true, t.trouble(tx, pin, identity, words.OtherIdentity)
	}
	return false, nil
}

// trouble writes down what was offered instead of a pin, loudly but once for each thing offered.
func (t *Trust) trouble(tx *ledger.Tx, pin ledger.Pin, offered id.Hash, what string) error {
	if pin.Trouble == what && pin.Offered == offered {
		return nil
	}
	t.Log.Error("pin differs", "peer", pin.Site, "what", what, "pinned", pin.Identity, "offered", offered)
	pin.Trouble, pin.Offered = what, offered
	return tx.SetPin(pin)
}

// update runs do in one commit; when do reports trouble the commit still happens and the answer is ErrPin.
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

// Advice says what a person can do about what a site shows instead of its pin; nothing when there is no trouble.
func Advice(p ledger.Pin) string {
	switch {
	case p.Trouble == "":
		return ""
	case p.Offered != p.Identity:
		return words.CompareIdentity(p.Site, p.Offered)
	case strings.HasPrefix(p.Trouble, words.SharedKey):
		return words.AskBothSites
	}
	return words.CompareKey(p.Site, p.Offered)
}

// Accept is a person's word that a site's identity is the one with this fingerprint, compared by another way than the
// hub. Its recipient key is pinned anew from its next statement, unless the identity is the one pinned before and only
// another one was offered instead: then all stays as it is, and the other is wrong. It returns the identity that was
// offered last, if that is not the accepted one.
func (t *Trust) Accept(ctx context.Context, site id.Site, fingerprint string) (offered id.Hash, err error) {
	identity, err := id.ParseHash(strings.ToLower(strings.Join(strings.FieldsFunc(fingerprint, func(r rune) bool { return r == ' ' || r == ':' }), "")))
	if err != nil {
		return "", fmt.Errorf("the fingerprint of %s: %w", site, err)
	}
	err = t.Ledger.Update(ctx, func(tx *ledger.Tx) error {
		pin, err := tx.Pin(site)
		if err != nil && !errors.Is(err, ledger.ErrNotFound) {
			return err
		}
		offered = ""
		if pin.Offered != identity {
			offered = pin.Offered
		}
		t.Log.Info("trusted by a person", "peer", site, "fingerprint", identity)
		if pin.Identity == identity && (pin.Trouble == "" || pin.Offered != identity) {
			pin.Trouble, pin.Offered = "", ""
			return tx.SetPin(pin)
		}
		return tx.SetPin(ledger.Pin{Site: site, Identity: identity, Seen: t.Now()})
	})
	return offered, err
}

// Approve sets the sites to which an address may lead; none means the first complete proposal of the hub. Of the sites that
// were shown with an identity, those that are approved are pinned to it, unless they are pinned already: the hub cannot
// propose another one after the comparison.
func (t *Trust) Approve(ctx context.Context, address id.Address, sites []id.Site, shown ...Proposed) error {
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
	t.Log.Info("approved", "address", address.String(), "sites", words.Sites(sites))
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
