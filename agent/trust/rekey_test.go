package trust_test

import (
	"testing"
	"time"

	"sealpost/agent/ledger"
	"sealpost/agent/trust"
	"sealpost/statement"
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

// During the hold of a planned change this site seals for the key before, and decides again
// after it. It publishes nothing for that key any more before its site destroys it.
func TestARotatedKeyIsHeld(t *testing.T) {
	n := newNetwork(t)
	n.RekeyHold = day
	n.approve("CA-RC")
	first := n.peer("CA-RC")
	n.sends(first)
	second := first.rotated(14 * day)
	sealedFor := []ledger.Recipient{{Site: "CA-RC",
		Key: statement.RecipientKeyHash(first.key.Recipient)}}
	meanwhile := func(former, shown *peer) {
		t.Helper()
		got, err := n.Decide(t.Context(), dat, n.route(dat, shown.proposed()))
		must(t, err)
		if got.Recipients[0].Key != former.key.Recipient || got.Until != n.rekeyed().Held {
			t.Fatalf("sealed for %v", got)
		}
	}
	publishes := func(want bool) {
		t.Helper()
		if got, err := n.StillTrusted(t.Context(), sealedFor); err != nil || got != want {
			t.Errorf("it is published: %v, %v", got, err)
		}
	}
	meanwhile(first, second)
	n.now = start.Add(23 * time.Hour)
	n.reopen()
	n.RekeyHold = day
	meanwhile(first, second)
	n.loseLedger() // the hold begins again
	n.RekeyHold = day
	n.now = start.Add(46 * time.Hour)
	meanwhile(first, second)
	publishes(true)
	n.now = start.Add(70 * time.Hour)
	n.sends(second)
	publishes(true) // it was sealed in the hold
	n.now = start.Add(13 * day)
	publishes(false)

	// of a key after the one that is shown
	third := second.rotated(14 * day)
	n.waitsOn(third.rotated(14*day), "nothing is sent to it before")
	meanwhile(second, third)
	n.RekeyHold = 13 * day // the key before opens no longer than that
	n.waitsOn(third, "nothing is sent to it before")
	_, err := n.Accept(t.Context(), "CA-RC", string(first.identity.Key()))
	must(t, err)
	n.sends(third)
}

const day = 24 * time.Hour
