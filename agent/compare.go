package agent

import (
	"context"
	"errors"

	"sealpost/agent/ledger"
	"sealpost/agent/trust"
	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/internal/spoken"
)

// IdentityRequest asks for the fingerprints that two users compare.
type IdentityRequest struct {
	Site string `json:"site"`
}

// Identities are the fingerprints that users of two sites compare by voice.
type Identities struct {
	Own   Identity `json:"own"`
	Other Identity `json:"other"` // as the other site shows it now
	// the pinned one, if the site shows another one now
	Former *Identity `json:"former,omitempty"`
	// the difference from the pin, which a comparison accepts
	Trouble reason.Reason `json:"trouble,omitzero"`

	trust.Standing // of the pinned one
}

// Identity is the fingerprint of a site, in digits and in words.
type Identity struct {
	Site        id.Site `json:"site"`
	Fingerprint id.Hash `json:"fingerprint"`
	Words       string  `json:"words"`
}

func identityOf(site id.Site, fingerprint id.Hash) Identity {
	return Identity{site, fingerprint, spoken.Words(fingerprint)}
}

// otherSite parses the name of a site that a user compares. It is not this one.
func (a *Agent) otherSite(name string) (id.Site, error) {
	site, err := id.ParseSite(name)
	if err == nil && site == a.site {
		err = reason.Err("trust-own-site", "site", site)
	}
	return site, err
}

// siteNotSeen is the reason of a site whose identity neither a pin nor the hub shows.
const siteNotSeen reason.Code = "site-not-seen"

// identify returns the fingerprints to compare with a site. It asks the hub about one that this
// site has not met.
func (a *Agent) identify(ctx context.Context, in IdentityRequest) (i Identities, err error) {
	site, err := a.otherSite(in.Site)
	if err != nil {
		return i, err
	}
	i.Own = identityOf(a.site, a.identity.Key())
	var pin ledger.Pin
	err = a.ledger.View(ctx, func(tx *ledger.Tx) (err error) {
		pin, err = tx.Pin(site)
		return err
	})
	switch {
	case errors.Is(err, ledger.ErrNotFound):
		shown, err := a.shownBy(ctx, site)
		i.Other = identityOf(site, shown)
		return i, err
	case err != nil:
		return i, err
	}
	i.Standing, i.Trouble = a.trust.Standing(pin), pin.Trouble
	i.Other = identityOf(site, pin.Identity)
	if !pin.Trouble.IsZero() && pin.Offered != pin.Identity {
		former := i.Other
		i.Former, i.Other = &former, identityOf(site, pin.Offered)
	}
	if i.Ground == trust.Distrusted && i.Former == nil {
		if shown, err := a.shownBy(ctx, site); err == nil && shown != pin.Identity {
			former := i.Other
			i.Former, i.Other = &former, identityOf(site, shown)
		}
	}
	return i, nil
}

// shownBy returns the identity that the hub shows for a site without a pin.
func (a *Agent) shownBy(ctx context.Context, site id.Site) (id.Hash, error) {
	a.mu.Lock()
	waiting := a.link.Uncompared
	a.mu.Unlock()
	for _, s := range waiting {
		if _, err := id.ParseHash(string(s.Fingerprint)); err == nil && s.Site == site {
			return s.Fingerprint, nil
		}
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	route, err := a.hub.Resolve(ctx, id.Address{To: []id.Site{site}})
	if err == nil {
		for _, p := range a.trust.Shown(route.Recipients) {
			if p.Site == site && p.Identity != "" {
				return p.Identity, nil
			}
		}
	}
	var why error
	if !errors.Is(err, api.ErrNotAllowed) && !errors.Is(err, api.ErrUnroutable) {
		why = err // the hub's answer about an unknown site has no more than site-not-seen
	}
	return "", reason.Err("site-not-seen", "site", site, "why", why)
}
