package trust

import (
	"maps"
	"slices"

	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/internal/spoken"
	"sealpost/statement"
)

// Proposed is a site to which an address leads, as the hub says.
type Proposed struct {
	Site id.Site
	// Identity is the one that its signed key shows. It is empty without a key that is signed
	// properly.
	Identity id.Hash
}

// Shown returns the sites that the hub proposes, with the identities that it shows.
func (t *Trust) Shown(recipients []api.RouteRecipient) []Proposed {
	list := make([]Proposed, len(recipients))
	for i, r := range recipients {
		list[i].Site = r.Site
		signed, err := statement.Open[statement.RecipientKey](r.Statement, t.Verifier, t.Now())
		if err == nil && signed.Payload.Site == r.Site {
			list[i].Identity = signed.Key
		}
	}
	return list
}

// propose stores the sites that the hub proposes for an address, for the operator's decision.
func (t *Trust) propose(address string, recipients []api.RouteRecipient) []Proposed {
	list := t.Shown(recipients)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.proposals == nil {
		t.proposals = map[string][]Proposed{}
	}
	t.proposals[address] = list
	return list
}

// Propose stores the hub's proposal for the asked address without a decision. A proposal that
// contradicts itself is none.
func (t *Trust) Propose(asked id.Address, route api.Route) {
	if _, err := t.check(asked, route); err != nil {
		route.Recipients = nil
	}
	t.propose(asked.String(), route.Recipients)
}

// Proposals returns the hub's last proposal for each address that was asked for since the start.
func (t *Trust) Proposals() map[string][]Proposed {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.proposals)
}

// fingerprints lists the fingerprints of those of the sites that show one.
func fingerprints(list []Proposed, sites []id.Site) (shown []reason.Reason) {
	for _, p := range list {
		if p.Identity != "" && slices.Contains(sites, p.Site) {
			shown = append(shown, Fingerprint(p.Site, p.Identity))
		}
	}
	return shown
}

// Fingerprint returns a site's fingerprint in a sentence, in digits and in words.
func Fingerprint(site id.Site, identity id.Hash) reason.Reason {
	return reason.New("has-fingerprint", "site", site, "fingerprint", id.Grouped(identity),
		"words", spoken.Words(identity))
}
