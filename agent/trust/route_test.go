package trust_test

import (
	"testing"

	"sealpost/hub/api"
	"sealpost/internal/id"
)

func TestOnlyTheApprovedSites(t *testing.T) {
	n := newNetwork(t)
	ca, sf := n.peer("CA-RC"), n.peer("SF-RC")
	n.waits(n.route(dat, proposals(ca, sf)...), "fl-lab.dat needs approval of CA-RC, SF-RC",
		"sealpost agent approve CA-RC,SF-RC --route fl-lab.dat")
	n.approve("SF-RC", "CA-RC", "SF-RC")
	n.sends(ca, sf)
	n.reopen()
	n.sends(ca, sf)
	n.waits(n.route(dat, proposals(ca)...), "does not lead to SF-RC, which is approved",
		"sealpost agent approve CA-RC --route fl-lab.dat")
	n.waits(n.route(dat, proposals(ca, n.peer("DC-RC"), sf)...),
		"now also leads to DC-RC, which is not approved")
	n.waits(n.route(dat, proposals(ca, n.peer("DC-RC"))...),
		"now also leads to DC-RC, which is not approved "+
			"and does not lead to SF-RC, which is approved")
	n.waits(n.route(dat), "no site receives fl-lab.dat yet")
	n.sends(ca, sf)
}

// TestApprovedInAdvance waits for sites to which the address does not lead yet, and never advises
// to drop their approval unasked.
func TestApprovedInAdvance(t *testing.T) {
	n := newNetwork(t)
	ca := n.peer("CA-RC")
	n.approve("CA-RC")
	n.sends(ca)
	n.approve("CA-RC", "NY-RC")
	n.waits(n.route(dat, proposals(ca)...), "does not lead to NY-RC yet, approved in advance",
		"To send to the others at once, run 'sealpost agent approve CA-RC --route fl-lab.dat "+
			"--replace'")
	n.waits(n.route(dat, proposals(ca, n.peer("DC-RC"))...),
		"now also leads to DC-RC, which is not approved: needs approval",
		"sealpost agent approve DC-RC --route fl-lab.dat --add'")
	n.waits(n.route(dat, proposals(n.peer("DC-RC"))...),
		"sealpost agent approve DC-RC,NY-RC --route fl-lab.dat --replace --in-advance'")
	n.sends(ca, n.peer("NY-RC"))
}

// A site that is not approved is not even pinned: a pin is made only to send.
func TestAProposalPinsNobody(t *testing.T) {
	n := newNetwork(t)
	n.waits(n.route(dat, n.peer("CA-RC").proposed()), "needs approval")
	n.approve("CA-RC")
	n.sends(n.peer("CA-RC"))
}

func TestProposalsThatContradictThemselves(t *testing.T) {
	n := newNetwork(t)
	n.approve("CA-RC", "SF-RC")
	ca, sf := n.peer("CA-RC"), n.peer("SF-RC")
	n.waits(n.route(dat, proposals(sf, ca)...), "out of order")
	n.waits(n.route(dat, proposals(ca, ca)...), "names CA-RC twice")
	wrong := n.route(dat, proposals(ca, sf)...)
	wrong.Version = n.Network
	n.waits(wrong, "contradicts itself")
	other := newNetwork(t).route(dat, proposals(ca, sf)...)
	n.waits(other, "contradicts itself")
}

// The hub answers for another address than asked, in particular a direct one, which needs no
// approval.
func TestAnAnswerForAnotherAddress(t *testing.T) {
	n := newNetwork(t)
	ca, eve := n.peer("CA-RC"), n.peer("EVE")
	n.approve("CA-RC")
	n.waits(n.route(id.Address{To: []id.Site{"EVE"}}, eve.proposed()),
		"was asked for fl-lab.dat and proposes recipients for \"@EVE\"")
	n.waits(n.route(id.Address{RoutingKey: "fl-lab.dat", To: []id.Site{"EVE"}}, eve.proposed()),
		"now also leads to EVE")
	must(t, n.Approve(t.Context(), id.Address{RoutingKey: "fl-lab.seq"}, []id.Site{"EVE"}))
	n.waits(n.route(id.Address{RoutingKey: "fl-lab.seq"}, eve.proposed()),
		"was asked for fl-lab.dat")
	n.sends(ca)
}

func TestASiteThatHasNotJoined(t *testing.T) {
	n := newNetwork(t)
	n.approve("CA-RC", "SF-RC")
	ca, sf := n.peer("CA-RC"), n.peer("SF-RC")
	n.waits(n.route(dat, ca.proposed(), api.RouteRecipient{Site: "SF-RC"}),
		"waiting for SF-RC to join")
	n.waits(n.route(dat, ca.proposed(), api.RouteRecipient{Site: "SF-RC", Joined: true}),
		"waiting for the key of SF-RC: the site has joined")
	n.sends(ca, sf)
}

func TestTheFirstCompleteProposal(t *testing.T) {
	n := newNetwork(t)
	n.approve() // route
	ca, sf := n.peer("CA-RC"), n.peer("SF-RC")
	n.waits(n.route(dat), "no site receives")
	n.waits(n.route(dat, ca.proposed(), api.RouteRecipient{Site: "SF-RC"}),
		"waiting for SF-RC to join")
	n.reopen()
	n.sends(ca, sf)
	n.reopen()
	n.waits(n.route(dat, proposals(ca)...), "does not lead to SF-RC")
	n.waits(n.route(dat, proposals(ca, sf, n.peer("UT-RC"))...), "now also leads to UT-RC")
}

// A direct address leads to approved sites only, for whatever they are approved. It leads to any
// site if the admin has said so.
func TestADirectAddressNeedsApprovedSites(t *testing.T) {
	n := newNetwork(t)
	ca, sf := n.peer("CA-RC"), n.peer("SF-RC")
	to := id.Address{To: []id.Site{"CA-RC", "SF-RC"}}
	n.waitsFor(to, n.route(to, proposals(ca, sf)...), "@CA-RC,SF-RC needs approval of CA-RC, SF-RC",
		"sealpost agent approve CA-RC,SF-RC --route @CA-RC,SF-RC")
	n.approve("CA-RC")
	n.waitsFor(to, n.route(to, proposals(ca, sf)...), "needs approval")
	n.DirectToAny = true
	_, err := n.Decide(t.Context(), to, n.route(to, proposals(ca, sf)...))
	must(t, err)
	n.DirectToAny = false
	must(t, n.Approve(t.Context(), id.Address{To: []id.Site{"SF-RC"}}, []id.Site{"SF-RC"}))
	got, err := n.Decide(t.Context(), to, n.route(to, proposals(ca, sf)...))
	if err != nil || len(got.Recipients) != 2 || got.Recipients[0].Key != ca.key.Recipient ||
		got.Recipients[1].Key != sf.key.Recipient {
		t.Fatalf("%v, %v", got, err)
	}
	n.waitsFor(to, n.route(to, proposals(ca)...), "does not lead to SF-RC")
	n.waitsFor(to, n.route(to, proposals(ca, sf, n.peer("UT-RC"))...), "now also leads to UT-RC")
	n.waitsFor(to, n.route(to, ca.proposed(), n.peer("SF-RC").proposed()),
		"SF-RC is not what it was")
}

func TestApprovalsThatAreNone(t *testing.T) {
	n := newNetwork(t)
	for name, c := range map[string]struct {
		address id.Address
		sites   []id.Site
	}{
		"no address":     {id.Address{}, []id.Site{"CA-RC"}},
		"a pattern":      {id.Address{RoutingKey: "fl-lab.*"}, []id.Site{"CA-RC"}},
		"no site's name": {dat, []id.Site{"ca-rc"}},
		"a path":         {dat, []id.Site{"CA-RC", "../SF"}},
	} {
		if err := n.Approve(t.Context(), c.address, c.sites); err == nil {
			t.Errorf("%s was approved", name)
		}
	}
	n.waits(n.route(dat, n.peer("CA-RC").proposed()), "needs approval")
}
