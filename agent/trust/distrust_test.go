package trust_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"sealpost/agent/ledger"
	"sealpost/agent/trust"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// distrusts distrusts the key of CA-RC.
func (n *network) distrusts() {
	n.t.Helper()
	if _, isNew, err := n.Distrust(n.t.Context(), "CA-RC"); err != nil || !isNew {
		n.t.Fatalf("distrusted: %v, %v", isNew, err)
	}
}

// turnsAway checks which senders every lease leaves out.
func (n *network) turnsAway(sites ...id.Site) {
	n.t.Helper()
	got, err := n.DistrustedSites(n.t.Context())
	must(n.t, err)
	if !slices.Equal(got, sites) {
		n.t.Errorf("turned away are %v, not %v", got, sites)
	}
}

// A key that the admin distrusts gets nothing, and nothing of it is believed. A comparison, a
// roster and a lost ledger change nothing about it, and an undo ends it.
func TestTheAdminDistrustsAKey(t *testing.T) {
	n := newNetwork(t)
	n.approve("CA-RC")
	if _, _, err := n.Distrust(t.Context(), "CA-RC"); reason.Of(err).Code != "distrusts-unmet" {
		t.Errorf("a site that was never met: %v", err)
	}
	centre := n.peer("CA-RC")
	key := centre.identity.Key()
	n.sends(centre)
	n.takes(n.roster(1, nil, centre))
	n.now = start.Add(time.Hour)
	_, err := n.Accept(t.Context(), "CA-RC", string(key))
	must(t, err)
	n.distrusts()
	if _, isNew, err := n.Distrust(t.Context(), "CA-RC"); err != nil || isNew {
		t.Errorf("once more: %v, %v", isNew, err)
	}
	for _, then := range []func(){n.reopen, n.loseLedger, func() {}} {
		n.stands(trust.Distrusted, start.Add(time.Hour))
		n.turnsAway("CA-RC")
		n.waitsOn(centre, "distrusts the key", string(key), "--undo")
		n.waitsOn(centre.next(), "distrusts the key")
		if got := n.receives(centre); got != "distrusted-here" {
			t.Errorf("a file: %q", got)
		}
		if err := n.believes(centre.receipt(nil), n.now); err == nil ||
			!strings.Contains(err.Error(), "distrusts") {
			t.Errorf("a receipt: %v", err)
		}
		to := []ledger.Recipient{{Site: "CA-RC"}}
		if ok, err := n.StillTrusted(t.Context(), to); ok || err != nil {
			t.Errorf("sealed before: %v, %v", ok, err)
		}
		if _, err := n.Accept(t.Context(), "CA-RC",
			string(key)); reason.Of(err).Code != "trusts-distrusted" {
			t.Errorf("trusted: %v", err)
		}
		if sites, err := n.ComparedSites(t.Context()); err != nil || len(sites) > 0 {
			t.Errorf("compared are %v, %v", sites, err)
		}
		then()
	}
	n.now = n.now.Add(time.Hour)
	n.takes(n.roster(2, nil, centre))
	n.waitsOn(centre, "distrusts the key")
	if isNew, err := n.Undistrust(t.Context(), "CA-RC"); err != nil || !isNew {
		t.Errorf("undone: %v, %v", isNew, err)
	}
	if isNew, err := n.Undistrust(t.Context(), "CA-RC"); err != nil || isNew {
		t.Errorf("undone again: %v, %v", isNew, err)
	}
	n.sends(centre)
	n.turnsAway()
	n.stands(trust.Compared, start.Add(time.Hour))
	must(t, n.believes(centre.receipt(nil), n.now))
}

// Another key ends the distrust for the site: one that a user has compared, or that a roster names.
// The distrusted key stays so.
func TestAnotherKeyThanTheDistrusted(t *testing.T) {
	for name, trusts := range map[string]func(*network, *peer){
		"compared": func(n *network, p *peer) {
			n.turnsAway("CA-RC")
			_, err := n.Accept(n.t.Context(), "CA-RC", string(p.identity.Key()))
			must(n.t, err)
		},
		"of a roster": func(n *network, p *peer) { n.takes(n.roster(1, nil, p)) },
	} {
		t.Run(name, func(t *testing.T) {
			n := newNetwork(t)
			n.approve("CA-RC")
			stolen, anew := n.peer("CA-RC"), n.peer("CA-RC")
			n.sends(stolen)
			n.distrusts()
			n.waitsOn(anew, "another identity key")
			trusts(n, anew)
			n.turnsAway()
			n.sends(anew)
			n.reopen()
			n.waitsOn(stolen, "distrusts the key")
			if got := n.receives(stolen); got != "distrusted-here" {
				t.Errorf("a file of the stolen key: %q", got)
			}
			n.sends(anew)
		})
	}
}
