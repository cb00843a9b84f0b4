package trust_test

import (
	"testing"
	"time"

	"sealpost/agent/ledger"
	"sealpost/agent/trust"
)

// stands checks the standing of a site's pin.
func (n *network) stands(ground trust.Ground, since time.Time) {
	n.t.Helper()
	want := trust.Standing{Ground: ground, Since: since}
	if got := n.Standing(n.pin("CA-RC")); got != want {
		n.t.Errorf("CA-RC is %+v, want %+v", got, want)
	}
}

// A site is seen until a user compares its fingerprint. The comparison is of the identity: another
// key of it changes nothing, and it outlives the ledger.
func TestSeenOrCompared(t *testing.T) {
	n := newNetwork(t)
	n.approve("CA-RC")
	if got := n.Standing(ledger.Pin{}); got != (trust.Standing{}) || !got.Reason().IsZero() {
		t.Errorf("a site without a pin is %+v", got)
	}
	centre := n.peer("CA-RC")
	n.sends(centre)
	n.stands(trust.Seen, start)
	n.now = start.Add(time.Hour)
	_, err := n.Accept(t.Context(), "CA-RC", string(centre.identity.Key()))
	must(t, err)
	n.stands(trust.Compared, n.now)
	n.sends(centre.next())
	n.waitsOn(n.peer("CA-RC"), "another identity key")
	n.stands(trust.Compared, n.now)
	n.loseLedger()
	n.stands(trust.Compared, n.now)

	other := n.peer("CA-RC")
	n.now = start.Add(2 * time.Hour)
	_, err = n.Accept(t.Context(), "CA-RC", string(other.identity.Key()))
	must(t, err)
	n.sends(other)
	n.stands(trust.Compared, n.now)
}

// A site that requires a comparison seals nothing before, and for later keys without a second
// one.
func TestACompareIsRequired(t *testing.T) {
	n := newNetwork(t)
	n.RequireCompared = true
	n.approve("CA-RC", "SF-RC")
	first, second := n.peer("CA-RC"), n.peer("SF-RC")
	route := n.route(dat, proposals(first, second)...)
	n.waits(route, "CA-RC", "SF-RC", "sealpost agent trust CA-RC", string(first.identity.Key()[:8]))
	for _, p := range []*peer{first, second} {
		n.waits(route, "never compared", string(p.site)+" has the fingerprint")
		_, err := n.Accept(t.Context(), p.site, string(p.identity.Key()))
		must(t, err)
	}
	n.sends(first.next(), second)
	n.RequireCompared = false
	third := n.peer("UT-RC")
	n.approve("UT-RC")
	n.sends(third)
}
