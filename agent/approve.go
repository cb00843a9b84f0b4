package agent

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"sealpost/agent/ledger"
	"sealpost/agent/outbox"
	"sealpost/agent/trust"
	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/internal/spoken"
)

// How an approval changes the one before.
const (
	ApproveAdd     = "add"     // keeps the approved sites
	ApproveReplace = "replace" // drops approved sites that are not named
)

// ApproveRequest approves the sites to which a route may lead; "route" alone: the hub's first
// complete proposal.
type ApproveRequest struct {
	Route string   `json:"route"` // empty: the only one of the trays
	Sites []string `json:"sites"`
	// ApproveAdd or ApproveReplace; empty: refused where a site would be left out
	Change    string `json:"change,omitempty"`
	InAdvance bool   `json:"in_advance,omitempty"` // also names of no site yet
}

// Route is to whom an address leads.
type Route struct {
	Address string `json:"address"`
	// the hub's first complete proposal is approved, whatever it is
	First bool        `json:"first_proposal,omitempty"`
	Sites []RouteSite `json:"sites"`
}

// RouteSite is one of the sites of a route: it is approved, proposed by the hub, or both.
type RouteSite struct {
	Site     id.Site `json:"site"`
	Approved bool    `json:"approved"`
	Proposed bool    `json:"proposed"` // by the hub, when this site asked last
	// of its identity: the pinned one, or the one that the hub shows
	Fingerprint id.Hash `json:"fingerprint,omitempty"`
	Words       string  `json:"words,omitempty"` // of the fingerprint
	Pinned      bool    `json:"pinned"`          // the fingerprint is the pinned one

	trust.Standing
}

// maxKnown is how many known sites are listed for a name that is none.
const maxKnown = 10

// ErrAddOrReplace refuses a change that is asked for in two ways.
var ErrAddOrReplace = reason.Err("add-or-replace")

// askTime bounds the questions for which a command waits.
const askTime = 15 * time.Second

func (a *Agent) approve(ctx context.Context, in ApproveRequest) (Done, error) {
	if a.outbox == nil {
		return Done{}, reason.Err("no-approvals")
	}
	route, err := a.ownRoute(in.Route)
	if err != nil {
		return Done{}, err
	}
	address, err := id.ParseAddress(route)
	if err != nil {
		return Done{}, err
	}
	if len(in.Sites) == 0 {
		return Done{}, reason.Err("approve-no-sites")
	}
	sites := approvedSites(in.Sites)
	for _, s := range sites {
		if _, err := id.ParseSite(string(s)); err != nil {
			return Done{}, err
		}
	}
	var warning reason.Reason
	if !in.InAdvance {
		if err := a.mustBeRoute(ctx, address.String()); err != nil {
			return Done{}, err
		}
		if warning, err = a.mustBeSites(ctx, sites); err != nil {
			return Done{}, err
		}
	}
	all, err := changed(ctx, a.ledger, address, sites, in.Change)
	if err != nil {
		return Done{}, err
	}
	shown := a.trust.Proposals()[address.String()]
	if err := a.trust.Approve(ctx, address, all, shown...); err != nil {
		return Done{}, err
	}
	a.outbox.Reconsider()
	if len(all) == 0 {
		return done(reason.New("approved-first", "address", address.String()), warning), nil
	}
	says := reason.New("approved", "address", address.String(), "sites", all)
	if shown := a.identities(ctx, sites); len(shown) > 0 {
		return done(says, reason.New("approved-compare", "shown", shown), warning), nil
	}
	return done(says, warning), nil
}

// changed returns the approved sites of an address after a change; none means the hub's first
// proposal.
func changed(ctx context.Context, l *ledger.Ledger, address id.Address, sites []id.Site,
	change string) (all []id.Site, err error) {
	var before []id.Site
	err = l.View(ctx, func(tx *ledger.Tx) error {
		before, _, err = tx.Approval(address.String())
		return err
	})
	if err != nil && !errors.Is(err, ledger.ErrNotFound) {
		return nil, err
	}
	dropped := slices.DeleteFunc(slices.Clone(before),
		func(s id.Site) bool { return slices.Contains(sites, s) })
	switch {
	case change == ApproveReplace:
		return sites, nil
	case change == ApproveAdd && len(sites) > 0:
		all = slices.Concat(sites, before)
		slices.Sort(all)
		return slices.Compact(all), nil
	case change != "":
		return nil, ErrAddOrReplace
	case len(dropped) > 0:
		if len(sites) == 0 {
			return nil, reason.Err("approval-would-forget", "address", address.String(),
				"approved", before)
		}
		return nil, reason.Err("approval-would-drop", "address", address.String(),
			"approved", before, "dropped", dropped, "sites", sites)
	}
	return sites, nil
}

// mustBeRoute refuses an address under which this site has sent nothing and no tray sends.
func (a *Agent) mustBeRoute(ctx context.Context, address string) error {
	var names []string
	err := a.ledger.View(ctx, func(tx *ledger.Tx) error {
		routes, err := a.routes(tx)
		for _, r := range routes {
			names = append(names, r.Address)
		}
		return err
	})
	if err != nil || strings.HasPrefix(address, "@") || slices.Contains(names, address) {
		return err
	}
	return reason.Err("no-such-route", "route", address, "routes", names)
}

// mustBeSites refuses names of which neither this site nor the hub knows a site that receives.
// Where the hub cannot be asked it returns a warning.
func (a *Agent) mustBeSites(ctx context.Context,
	sites []id.Site) (warning reason.Reason, err error) {
	known, err := a.knownSites(ctx)
	if err != nil {
		return warning, err
	}
	sites = slices.DeleteFunc(slices.Clone(sites),
		func(s id.Site) bool { return slices.Contains(known, string(s)) })
	strays, err := straysOf(ctx, a.hub, a.site, sites, known)
	if err != nil {
		return reason.New("sites-not-checked", "sites", sites), nil
	}
	if len(strays) > 0 {
		if slices.ContainsFunc(strays, func(r reason.Reason) bool {
			return r.Code == "site-near"
		}) {
			known = nil
		}
		return warning, reason.Err("no-such-sites", "strays", strays,
			"known", known[:min(maxKnown, len(known))])
	}
	return warning, nil
}

// straysOf returns those of the names that are no sites which receive, as the hub says.
func straysOf(ctx context.Context, hub *api.Client, self id.Site, sites []id.Site,
	known []string) (strays []reason.Reason, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	for _, s := range sites {
		_, err := hub.Resolve(ctx, id.Address{To: []id.Site{s}})
		switch {
		case errors.Is(err, api.ErrUnroutable):
			strays = append(strays, outbox.Stray(s, self, known))
		case err != nil:
			return nil, err
		}
	}
	return strays, nil
}

// knownSites lists the sites that this one has met, or that the hub proposes to it, in order.
func (a *Agent) knownSites(ctx context.Context) ([]string, error) {
	known := map[string]bool{}
	for _, list := range a.trust.Proposals() {
		for _, p := range list {
			known[string(p.Site)] = true
		}
	}
	err := a.ledger.View(ctx, func(tx *ledger.Tx) error {
		pins, err := tx.Pins()
		for _, p := range pins {
			known[string(p.Site)] = true
		}
		return err
	})
	return slices.Sorted(maps.Keys(known)), err
}

// identities returns the known fingerprints of sites.
func (a *Agent) identities(ctx context.Context, sites []id.Site) (list []reason.Reason) {
	shown := map[id.Site]id.Hash{}
	for _, list := range a.trust.Proposals() {
		for _, p := range list {
			if p.Identity != "" && slices.Contains(sites, p.Site) {
				shown[p.Site] = p.Identity
			}
		}
	}
	//nolint:errcheck // only shown; the approval is durable
	a.ledger.View(ctx, func(tx *ledger.Tx) error {
		for _, s := range sites {
			if pin, err := tx.Pin(s); err == nil {
				shown[s] = pin.Identity
			}
		}
		return nil
	})
	for _, s := range slices.Sorted(maps.Keys(shown)) {
		list = append(list, trust.Fingerprint(s, shown[s]))
	}
	return list
}

// routes lists the recipients of the trays' routes, and of other approved addresses.
func (a *Agent) routes(tx *ledger.Tx) ([]Route, error) {
	approvals, err := tx.Approvals()
	if err != nil {
		return nil, err
	}
	proposals := a.trust.Proposals()
	addresses := map[string]bool{}
	for _, t := range a.cfg.Trays() {
		addresses[t.Route] = true
	}
	for address := range approvals {
		addresses[address] = true
	}
	for address := range proposals {
		parsed, err := id.ParseAddress(address)
		if err != nil {
			continue
		}
		itself, err := a.trust.ApprovesItself(tx, parsed)
		if err != nil {
			return nil, err
		}
		addresses[address] = addresses[address] || !itself
	}
	var list []Route
	for _, address := range slices.Sorted(maps.Keys(addresses)) {
		if !addresses[address] {
			continue
		}
		approved, isApproved := approvals[address]
		r := Route{Address: address, First: isApproved && approved == nil, Sites: []RouteSite{}}
		if r.Sites, err = a.routeSites(tx, approved, proposals[address]); err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, nil
}

func (a *Agent) routeSites(tx *ledger.Tx, approved []id.Site,
	proposed []trust.Proposed) ([]RouteSite, error) {
	by := map[id.Site]*RouteSite{}
	for _, s := range approved {
		by[s] = &RouteSite{Site: s, Approved: true}
	}
	for _, p := range proposed {
		if by[p.Site] == nil {
			by[p.Site] = &RouteSite{Site: p.Site}
		}
		by[p.Site].Proposed, by[p.Site].Fingerprint = true, p.Identity
	}
	list := []RouteSite{}
	for _, s := range slices.Sorted(maps.Keys(by)) {
		pin, err := tx.Pin(s)
		if err == nil {
			by[s].Fingerprint, by[s].Pinned = pin.Identity, true
			by[s].Standing = a.trust.Standing(pin)
		} else if !errors.Is(err, ledger.ErrNotFound) {
			return nil, err
		}
		by[s].Words = spoken.Words(by[s].Fingerprint)
		list = append(list, *by[s])
	}
	return list, nil
}
