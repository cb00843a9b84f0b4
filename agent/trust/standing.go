package trust

import (
	"context"
	"slices"
	"time"

	"sealpost/agent/ledger"
	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// Ground is why the pinned identity of a site is believed.
type Ground string

// The grounds, from the weakest to the strongest.
const (
	// Distrusted is the ground of an identity that this site's admin distrusts.
	Distrusted Ground = "distrusted"

	Seen     Ground = "seen"     // the hub has shown the identity, and it is unchanged since
	Rostered Ground = "rostered" // the roster names it, and has not ended
	Compared Ground = "compared" // a user has compared its fingerprint, not by the hub
)

// Standing is the ground of a pin, and the time since which it holds. The zero Standing is that of
// a site without a pin.
type Standing struct {
	Ground Ground    `json:"standing,omitempty"`
	Since  time.Time `json:"standing_since,omitzero"`
}

// Standing returns the standing of a pin.
func (t *Trust) Standing(pin ledger.Pin) Standing {
	switch {
	case pin.Site == "":
		return Standing{}
	case !t.distrusts(pin.Identity).IsZero():
		return Standing{Distrusted, t.distrusts(pin.Identity)}
	case !pin.Compared.IsZero():
		return Standing{Compared, pin.Compared}
	case t.isRostered(pin.Site, pin.Identity):
		return Standing{Rostered, t.Roster().Signed}
	}
	return Standing{Seen, pin.Seen}
}

// Reason returns the standing for a user. It is none for a site without a pin.
func (s Standing) Reason() reason.Reason {
	switch s.Ground {
	case Compared:
		return reason.New("standing-compared", "since", s.Since)
	case Rostered:
		return reason.New("standing-rostered", "since", s.Since)
	case Seen:
		return reason.New("standing-seen", "since", s.Since)
	case Distrusted:
		return reason.New("standing-distrusted", "since", s.Since)
	}
	return reason.Reason{}
}

// checkStandings returns why nothing is sealed for some of the sites: they were only seen, and this
// site wants more.
func (t *Trust) checkStandings(ctx context.Context, sites []id.Site) error {
	if !t.RequireCompared {
		return nil
	}
	var seen []id.Site
	var shown []reason.Reason
	for _, site := range sites {
		pin, err := t.pin(ctx, site)
		if err != nil {
			return err
		}
		if t.Standing(pin).Ground == Seen {
			seen = append(seen, site)
			shown = append(shown, Fingerprint(site, pin.Identity))
		}
	}
	if len(seen) == 0 {
		return nil
	}
	return &Waiting{reason.New("not-compared", "sites", seen, "first", seen[0], "shown", shown)}
}

// ComparedSites lists the sites that a user has compared, and those on the roster, in order, at
// most api.MaxOnly.
func (t *Trust) ComparedSites(ctx context.Context) ([]id.Site, error) {
	sites := []id.Site{}
	if r, _ := t.currentRoster(); r != nil {
		for _, on := range r.Sites {
			if t.isRostered(on.Site, on.Identity) && t.distrusts(on.Identity).IsZero() {
				sites = append(sites, on.Site)
			}
		}
	}
	err := t.Ledger.View(ctx, func(tx *ledger.Tx) error {
		pins, err := tx.Pins()
		for _, p := range pins {
			if t.Standing(p).Ground == Compared {
				sites = append(sites, p.Site)
			}
		}
		return err
	})
	slices.Sort(sites)
	sites = slices.Compact(sites)
	return sites[:min(len(sites), api.MaxOnly)], err
}
