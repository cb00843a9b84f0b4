package trust_test

import (
	"testing"
	"time"

	"sealpost/agent/ledger"
	"sealpost/agent/trust"
)

// rekeyed returns the newest key of CA-RC after its first one.
func (n *network) rekeyed() (r trust.Rekeyed) {
	n.t.Helper()
	pin := n.pin("CA-RC")
	must(n.t, n.Ledger.View(n.t.Context(), func(tx *ledger.Tx) (err error) {
		r, err = n.Rekeyed(tx, pin)
		return err
	}))
	return r
}

// The changed key of a site that was only seen is not used before the hold ends. Another statement
// begins another hold.
func TestAChangedKeyIsHeld(t *testing.T) {
	n := newNetwork(t)
	n.RekeyHold = 24 * time.Hour
	n.approve("CA-RC")
	first := n.peer("CA-RC")
	n.sends(first)
	if got := n.rekeyed(); got != (trust.Rekeyed{}) || !got.Reason().IsZero() {
		t.Errorf("a first key: %+v", got)
	}
	second := first.next()
	n.waitsOn(second, "CA-RC has another recipient key", "sealpost agent trust CA-RC")
	n.sends(first) // the hub may show the former one again
	n.now = start.Add(23 * time.Hour)
	n.reopen()
	n.RekeyHold = 24 * time.Hour
	n.waitsOn(second, "nothing is sent to it before")
	if got := n.rekeyed(); got.Shown != start || got.Held != start.Add(24*time.Hour) {
		t.Errorf("held: %+v", got)
	}
	if n.logged("another recipient key is shown") != 1 {
		t.Errorf("it is logged %d times", n.logged("another recipient key is shown"))
	}
	third := first.next()
	n.waitsOn(third, "nothing is sent to it before")
	n.now = start.Add(46 * time.Hour)
	n.waitsOn(third, "nothing is sent to it before")
	n.now = start.Add(47 * time.Hour)
	n.sends(third)
	if got := n.rekeyed(); got.Shown != start.Add(23*time.Hour) || !got.Held.IsZero() {
		t.Errorf("in use: %+v", got)
	}
	n.waitsOn(second, "another recipient key under the same version")
}

// The changed key of a compared site is used at once, and shown.
func TestAChangedKeyOfAComparedSite(t *testing.T) {
	n := newNetwork(t)
	n.RekeyHold = 24 * time.Hour
	n.approve("CA-RC")
	first := n.peer("CA-RC")
	n.sends(first)
	n.waitsOn(first.next(), "nothing is sent to it before")
	_, err := n.Accept(t.Context(), "CA-RC", string(first.identity.Key()))
	must(t, err)
	second := first.next()
	n.sends(second)
	if got := n.rekeyed(); got.Shown != start || !got.Held.IsZero() || got.Reason().IsZero() {
		t.Errorf("in use: %+v", got)
	}
	n.waitsOn(first, "version 2 was seen before")
	n.sends(second.next())
}
