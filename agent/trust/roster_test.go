package trust_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"sealpost/agent/ledger"
	"sealpost/agent/trust"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/statement"
)

const month = 30 * 24 * time.Hour

// roster signs a roster of these sites as the root of the network, after a change. It is valid for
// a month.
func (n *network) roster(number int64, change func(*statement.Roster), on ...*peer) string {
	n.t.Helper()
	r := statement.Roster{V: 1, Network: n.Network, Number: number, Signed: n.now,
		Ends: n.now.Add(month)}
	for _, p := range on {
		r.Sites = append(r.Sites, statement.RosterSite{Site: p.site, Identity: p.identity.Key(),
			Role: "both"})
	}
	if change != nil {
		change(&r)
	}
	jws, err := statement.SignRoster(n.root, r)
	must(n.t, err)
	return jws
}

func required(r *statement.Roster) { r.Required = true }

// distrusting returns a change that distrusts the key of a site.
func distrusting(p *peer) func(*statement.Roster) {
	return func(r *statement.Roster) {
		r.Distrusted = []statement.DistrustedKey{{Identity: p.identity.Key(), Site: p.site,
			Since: r.Signed}}
	}
}

// takes takes a roster that must be new.
func (n *network) takes(jws string) {
	n.t.Helper()
	isNew, err := n.TakeRoster(n.t.Context(), jws)
	must(n.t, err)
	if !isNew {
		n.t.Fatal("the roster is not new")
	}
}

// receives returns the code of the refusal of a file from the site; empty: it is taken.
func (n *network) receives(p *peer) reason.Code {
	n.t.Helper()
	err := n.Sender(n.t.Context(), p.site, p.identity.Key())
	if err != nil && !errors.Is(err, trust.ErrPin) {
		n.t.Fatal(err)
	}
	return reason.Of(err).Code
}

// At first contact the hub shows an identity of its own. With a roster nothing is sent to it or
// taken from it, whether it is required or not; without one it is pinned.
func TestFirstContactWithALyingHub(t *testing.T) {
	for name, c := range map[string]struct {
		change   func(*statement.Roster)
		isNamed  bool
		sends    string // why nothing is sent; empty: it is
		receives reason.Code
	}{
		"no roster":               {nil, false, "", ""},
		"named":                   {func(*statement.Roster) {}, true, "names", "roster-other-key"},
		"named and required":      {required, true, "names", "roster-other-key"},
		"not named":               {func(*statement.Roster) {}, false, "", ""},
		"not named, and required": {required, false, "is not on roster 1", "roster-without"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNetwork(t)
			n.approve("CA-RC")
			real, liar := n.peer("CA-RC"), n.peer("CA-RC")
			if c.change != nil {
				var on []*peer
				if c.isNamed {
					on = append(on, real)
				}
				n.takes(n.roster(1, c.change, on...))
			}
			if got := n.receives(liar); got != c.receives {
				t.Errorf("receiving: %q, want %q", got, c.receives)
			}
			if c.sends == "" {
				n.sends(liar)
				return
			}
			n.waitsOn(liar, c.sends)
			if c.isNamed {
				n.sends(real)
				if got := n.receives(real); got != "" {
					t.Errorf("the real one: %q", got)
				}
				if s := n.Standing(n.pin("CA-RC")); s.Ground != trust.Rostered ||
					!s.Since.Equal(n.now) {
					t.Errorf("it stands as %+v", s)
				}
			}
		})
	}
}

// A distrusted key is refused at once, in every mode, also if it is pinned and compared.
func TestADistrustedKey(t *testing.T) {
	n := newNetwork(t)
	n.approve("CA-RC")
	centre := n.peer("CA-RC")
	n.sends(centre)
	_, err := n.Accept(t.Context(), "CA-RC", string(centre.identity.Key()))
	must(t, err)
	must(t, n.believes(centre.receipt(nil), n.now))
	n.takes(n.roster(1, distrusting(centre)))
	for range 2 {
		if s := n.Standing(n.pin("CA-RC")); s.Ground != trust.Distrusted || s.Roster != 1 ||
			s.Reason().String() != "DISTRUSTED by roster 1" ||
			!strings.Contains(s.Reason().In(reason.German), "MISSTRAUT") {
			t.Errorf("it stands as %+v", s)
		}
		n.waitsOn(centre, "distrusts the key", string(centre.identity.Key()))
		if got := n.receives(centre); got != "roster-distrusts" {
			t.Errorf("a file: %q", got)
		}
		if err := n.believes(centre.receipt(nil), n.now); err == nil ||
			!strings.Contains(err.Error(), "distrusts") {
			t.Errorf("a receipt: %v", err)
		}
		if _, err := n.Accept(t.Context(), "CA-RC",
			string(centre.identity.Key())); reason.Of(err).Code != "roster-distrusts" {
			t.Errorf("trusted: %v", err)
		}
		n.reopen()
	}
	// It stays so after the roster's end, and when the ledger is lost.
	n.now = n.now.Add(2 * month)
	n.loseLedger()
	n.waitsOn(centre, "distrusts the key")
}

// A pinned site that is not on a required roster is shown as such.
func TestAPinIsOffTheRoster(t *testing.T) {
	n := newNetwork(t)
	n.approve("CA-RC")
	n.sends(n.peer("CA-RC"))
	n.takes(n.roster(1, nil, n.peer("SF-RC")))
	n.stands(trust.Seen, start)
	n.takes(n.roster(2, required, n.peer("SF-RC")))
	s := n.Standing(n.pin("CA-RC"))
	if s.Ground != trust.OffRoster || s.Roster != 2 ||
		s.Reason().String() != "its key is not on roster 2, which is required" {
		t.Errorf("it stands as %+v", s)
	}
	if got, err := n.ShutOut(t.Context()); err != nil || got["CA-RC"] != s {
		t.Errorf("shut out: %v, %v", got, err)
	}
}

// A roster names a new identity under the name of a pinned site: no user is asked. A comparison
// since then is right, until the next roster.
func TestARosterReplacesAPin(t *testing.T) {
	for name, isCompared := range map[string]bool{"seen": false, "compared": true} {
		t.Run(name, func(t *testing.T) {
			n := newNetwork(t)
			n.approve("CA-RC")
			before, after := n.peer("CA-RC"), n.peer("CA-RC")
			n.sends(before.next())
			if isCompared {
				_, err := n.Accept(t.Context(), "CA-RC", string(before.identity.Key()))
				must(t, err)
			}
			n.now = n.now.Add(time.Hour)
			n.takes(n.roster(1, nil, after))
			if got, err := n.Outdated(t.Context()); err != nil ||
				!slices.Equal(got, []id.Site{"CA-RC"}) {
				t.Errorf("outdated: %v, %v", got, err)
			}
			n.waitsOn(before.next(), "roster 1 names")
			n.sends(after)
			if n.logged("identity replaced by the roster") != 1 {
				t.Error("the log does not have it")
			}
			n.now = n.now.Add(time.Hour)
			third := n.peer("CA-RC")
			_, err := n.Accept(t.Context(), "CA-RC", string(third.identity.Key()))
			must(t, err)
			n.sends(third)
			n.waitsOn(after, "another identity key") // it is on the roster, which is older
			n.now = n.now.Add(time.Hour)
			n.takes(n.roster(2, nil, after))
			n.waitsOn(third, "roster 2 names")
			n.sends(after)
		})
	}
}

// Where comparing is required, a roster does not undo a comparison: it takes a user. A site that no
// user has compared is believed by the roster.
func TestARosterUndoesNoRequiredComparison(t *testing.T) {
	n := newNetwork(t)
	n.RequireCompared = true
	n.approve("CA-RC")
	before, after := n.peer("CA-RC"), n.peer("CA-RC")
	n.waitsOn(before, "compare")
	n.takes(n.roster(1, nil, before))
	n.sends(before)
	_, err := n.Accept(t.Context(), "CA-RC", string(before.identity.Key()))
	must(t, err)
	n.now = n.now.Add(time.Hour)
	n.takes(n.roster(2, required, after))
	n.waitsOn(before, "roster 2 names")
	n.waitsOn(after, "another identity key")
	_, err = n.Accept(t.Context(), "CA-RC", string(after.identity.Key()))
	must(t, err)
	n.sends(after)
}

// A required roster that has ended, or is missing, stops sending and receiving. Receipts for files
// that were sent before are believed.
func TestARosterEnds(t *testing.T) {
	n := newNetwork(t)
	n.approve("CA-RC")
	centre := n.peer("CA-RC")
	n.RequireRoster = true
	n.waitsOn(centre, "has none yet")
	if got := n.receives(centre); got != "roster-missing" || n.RosterAge().IsZero() {
		t.Errorf("without a roster: %q, %v", got, n.RosterAge())
	}
	n.takes(n.roster(1, nil, centre))
	n.sends(centre)
	n.now = n.now.Add(month)
	n.waitsOn(centre, "has ended")
	if got := n.receives(centre); got != "roster-too-old" || n.RosterAge().IsZero() {
		t.Errorf("with an old roster: %q, %v", got, n.RosterAge())
	}
	must(t, n.believes(centre.receipt(nil), n.now))
	n.takes(n.roster(2, nil, centre))
	n.sends(centre)
	if got := n.receives(centre); got != "" || !n.RosterAge().IsZero() {
		t.Errorf("with a new roster: %q, %v", got, n.RosterAge())
	}
}

// Without a requirement, a roster that has ended contradicts nothing.
func TestAnOptionalRosterEnds(t *testing.T) {
	n := newNetwork(t)
	n.approve("CA-RC")
	n.takes(n.roster(1, nil, n.peer("CA-RC")))
	shown := n.peer("CA-RC")
	n.waitsOn(shown, "names")
	n.now = n.now.Add(month)
	n.sends(shown)
	if s := n.Standing(n.pin("CA-RC")); s.Ground != trust.Seen {
		t.Errorf("it stands as %+v", s)
	}
}

// The role of the roster limits a site, if the roster is required.
func TestRolesOfARoster(t *testing.T) {
	for role, c := range map[string]struct {
		sends    string
		receives reason.Code
	}{"both": {"", ""}, "receive": {"", "roster-other-role"}, "send": {"as send", ""}} {
		t.Run(role, func(t *testing.T) {
			n := newNetwork(t)
			n.approve("CA-RC")
			centre := n.peer("CA-RC")
			n.takes(n.roster(1, func(r *statement.Roster) {
				r.Required, r.Sites[0].Role = true, role
			}, centre))
			if got := n.receives(centre); got != c.receives {
				t.Errorf("receiving: %q", got)
			}
			if c.sends == "" {
				n.sends(centre)
			} else {
				n.waitsOn(centre, c.sends)
			}
		})
	}
}

// The number only grows, over restarts and a lost ledger. That a roster is required stays.
func TestTheNumberOfARosterStays(t *testing.T) {
	n := newNetwork(t)
	n.approve("CA-RC")
	centre := n.peer("CA-RC")
	old, newest := n.roster(1, nil, centre), n.roster(2, required, centre)
	another := n.roster(2, nil, centre)
	n.takes(old)
	n.takes(newest)
	lower := n.roster(3, nil, centre)
	for i, restart := range []func(){func() {}, n.reopen, n.loseLedger} {
		restart()
		for jws, code := range map[string]reason.Code{old: "roster-older",
			another: "roster-twice"} {
			if _, err := n.TakeRoster(t.Context(), jws); reason.Of(err).Code != code {
				t.Errorf("%d: %v, want %s", i, err, code)
			}
		}
		if isNew, err := n.TakeRoster(t.Context(), newest); isNew || err != nil {
			t.Errorf("%d: the same: %v, %v", i, isNew, err)
		}
		if s := n.Roster(); s.Number != 2 || !s.Required || s.Sites != 1 {
			t.Errorf("%d: it has %+v", i, s)
		}
	}
	n.takes(lower)
	for range 2 {
		if s := n.Roster(); s.Number != 3 || !s.Required {
			t.Errorf("it has %+v", s)
		}
		n.loseLedger()
	}
}

// Rosters that are not taken leave the one that is there.
func TestRostersThatAreNotTaken(t *testing.T) {
	n, other := newNetwork(t), newNetwork(t)
	centre := n.peer("CA-RC")
	good := n.roster(5, nil, centre)
	n.takes(good)
	for name, c := range map[string]struct {
		jws string
		err error
	}{
		"of another network": {other.roster(6, nil), statement.ErrSignature},
		"cut":                {good[:len(good)-8], statement.ErrMalformed},
		"forged":             {flip(n.roster(6, nil)), statement.ErrSignature},
		"another statement":  {centre.proposed().Statement, statement.ErrMalformed},
		"nothing":            {"", statement.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := n.TakeRoster(t.Context(), c.jws); !errors.Is(err, c.err) {
				t.Errorf("got %v", err)
			}
		})
	}
	_, err := n.TakeRoster(t.Context(), n.roster(6, func(r *statement.Roster) {
		r.Signed, r.Ends = r.Signed.Add(time.Hour), r.Ends.Add(time.Hour)
	}))
	if reason.Of(err).Code != "roster-of-future" {
		t.Errorf("of the future: %v", err)
	}
	if n.Roster().Number != 5 {
		t.Errorf("it has %+v", n.Roster())
	}
	must(t, n.Ledger.Close())
	defer n.open()
	if isNew, err := n.TakeRoster(t.Context(), n.roster(6, nil)); isNew || err == nil ||
		n.Roster().Number != 5 {
		t.Errorf("a ledger that fails: %v, %v", isNew, err)
	}
}

// A root that is not the network's leaves no roster, but an error at the start.
func TestARosterOfAnotherRootIsNotLoaded(t *testing.T) {
	n, other := newNetwork(t), newNetwork(t)
	must(t, n.Ledger.Update(t.Context(), func(tx *ledger.Tx) error {
		return tx.Keep("roster", other.roster(1, nil))
	}))
	if err := n.Load(t.Context()); reason.Of(err).Code != "roster-damaged" {
		t.Errorf("loaded: %v", err)
	}
}
