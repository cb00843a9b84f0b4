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

// The grounds, from the weakest to the strongest. The first two are none: the identity is shut out.
const (
	// Distrusted is the ground of an identity that the roster or this site's admin distrusts.
	Distrusted Ground = "distrusted"
	// OffRoster is the ground of an identity that a required roster does not name.
	OffRoster Ground = "off-roster"

	Seen     Ground = "seen"     // the hub has shown the identity, and it is unchanged since
	Rostered Ground = "rostered" // the roster names it, and has not ended
	Compared Ground = "compared" // a user has compared its fingerprint, not by the hub
)

// Standing is the ground of a pin, and the time since which it holds. The zero Standing is that of
// a site without a pin.
type Standing struct {
	Ground Ground    `json:"standing,omitempty"`
	Since  time.Time `json:"standing_since,omitzero"`
	// number of the roster that shuts it out
	Roster int64 `json:"standing_roster,omitempty"`
}

// IsShutOut reports whether the roster shuts the identity out.
func (s Standing) IsShutOut() bool { return s.Roster > 0 }

// Standing returns the standing of a pin, for users.
func (t *Trust) Standing(pin ledger.Pin) Standing {
	r, required := t.currentRoster()
	switch {
	case r == nil || pin.Site == "":
	case r.Distrusts(pin.Identity):
		return Standing{Distrusted, r.Signed, r.Number}
	case required && t.Now().Before(r.Ends):
		if on, _ := r.Find(pin.Site); on.Identity != pin.Identity {
			return Standing{OffRoster, r.Signed, r.Number}
		}
	}
	return t.ground(pin)
}

// ShutOut lists the pinned sites that the roster shuts out, with their standings.
func (t *Trust) ShutOut(ctx context.Context) (map[id.Site]Standing, error) {
	if r, _ := t.currentRoster(); r == nil {
		return nil, nil
	}
	sites := map[id.Site]Standing{}
	err := t.Ledger.View(ctx, func(tx *ledger.Tx) error {
		pins, err := tx.Pins()
		for _, p := range pins {
			if s := t.Standing(p); s.IsShutOut() {
				sites[p.Site] = s
			}
		}
		return err
	})
	return sites, err
}

// ground returns the ground of a pin, whether or not the roster shuts it out.
func (t *Trust) ground(pin ledger.Pin) Standing {
	switch {
	case pin.Site == "":
		return Standing{}
	case !t.distrusts(pin.Identity).IsZero():
		return Standing{Ground: Distrusted, Since: t.distrusts(pin.Identity)}
	case !pin.Compared.IsZero():
		return Standing{Ground: Compared, Since: pin.Compared}
	case t.isRostered(pin.Site, pin.Identity):
		return Standing{Ground: Rostered, Since: t.Roster().Signed}
	}
	return Standing{Ground: Seen, Since: pin.Seen}
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
		if s.Roster == 0 {
			return reason.New("standing-distrusted", "since", s.Since)
		}
		return reason.New("standing-roster-distrusts", "n", s.Roster)
	case OffRoster:
		return reason.New("standing-off-roster", "n", s.Roster)
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
		if t.ground(pin).Ground == Seen {
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
			if t.ground(p).Ground == Compared {
				sites = append(sites, p.Site)
			}
		}
		return err
	})
	slices.Sort(sites)
	sites = slices.Compact(sites)
	return sites[:min(len(sites), api.MaxOnly)], err
}
