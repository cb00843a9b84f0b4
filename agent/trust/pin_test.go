package trust_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"sealpost/agent/ledger"
	"sealpost/agent/trust"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/statement"
)

func TestTheFirstSightPins(t *testing.T) {
	n := newNetwork(t)
	n.approve("CA-RC")
	centre := n.peer("CA-RC")
	n.sends(centre)
	want := ledger.Pin{Site: "CA-RC", Identity: centre.identity.Key(),
		RecipientKey: centre.key.Recipient, Version: 1, Statement: centre.key.Hash(), Seen: n.now}
	if got := n.pin("CA-RC"); got != want {
		t.Errorf("pinned %+v, want %+v", got, want)
	}
	if n.logged(string(centre.identity.Key())) == 0 {
		t.Error("the fingerprint is not in the log")
	}
	n.reopen()
	n.sends(centre)
	n.waitsOn(n.peer("CA-RC"), "another identity key")
}

// A lost ledger is no second first sight: another identity is refused, and the approval holds.
func TestALostLedgerKeepsPins(t *testing.T) {
	n := newNetwork(t)
	n.approve("CA-RC")
	centre := n.peer("CA-RC")
	n.sends(centre)
	n.loseLedger()
	n.waitsOn(n.peer("CA-RC"), "another identity key")
	n.loseLedger()
	n.sends(centre)
}

// A difference from a pin stops sending, is reported, and survives a restart. The pin stays.
func TestWhatDiffersFromAPin(t *testing.T) {
	for name, c := range map[string]struct {
		offered func(first *peer) *peer
		says    []string
	}{
		"another identity": {func(p *peer) *peer { return p.n.peer(p.site) },
			[]string{"it shows another identity key", "Nothing is sent to it",
				"the fingerprint of its identity", "put back to an older state"}},
		"another identity for the same key": {func(p *peer) *peer {
			q := *p
			q.identity = p.n.identity(p.site, p.n.now)
			return &q
		},
			[]string{"it shows another identity key"}},
		"another key under the same version": {func(p *peer) *peer {
			return p.with(func(k *statement.RecipientKey) { k.Recipient = recipient(p.n.t) })
		},
			[]string{"another recipient key under the same version 2",
				"was given a new recipient key"}},
		"the same key under an older version": {func(p *peer) *peer {
			return p.with(func(k *statement.RecipientKey) { k.Version, k.Prev = 1, "" })
		}, []string{"it offers version 1 of its recipient key, and version 2 was seen before",
			"put back to an older state"}},
		"an older version": {func(p *peer) *peer {
			return p.with(func(k *statement.RecipientKey) {
				k.Version, k.Prev, k.Recipient = 1, "", recipient(p.n.t)
			})
		}, []string{"it offers version 1 of its recipient key, and version 2 was seen before"}},
		"a successor of something else": {func(p *peer) *peer {
			return p.next().with(func(k *statement.RecipientKey) { k.Prev = p.n.Network })
		}, []string{"version 3 of its recipient key does not follow the one that was seen before"}},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNetwork(t)
			n.approve("CA-RC")
			first := n.peer("CA-RC").next()
			n.sends(first)
			before := n.pin("CA-RC")
			offered := c.offered(first)
			n.waitsOn(offered, c.says...)
			n.waitsOn(offered, c.says...)
			if n.logged("pin differs") != 1 {
				t.Errorf("it is logged %d times", n.logged("pin differs"))
			}
			n.reopen()
			n.waitsOn(offered, "sealpost agent trust CA-RC'")
			after := n.pin("CA-RC")
			if after.Trouble.IsZero() || after.Offered != offered.identity.Key() ||
				trust.Advice(after).IsZero() {
				t.Errorf("the trouble is not kept: %+v", after)
			}
			after.Trouble, after.Offered = reason.Reason{}, ""
			if after != before {
				t.Errorf("the pin was %+v and is %+v", before, after)
			}
			n.sends(first)
			if got := n.pin("CA-RC"); got != before || !trust.Advice(got).IsZero() {
				t.Errorf("the trouble is over and still there: %+v", got)
			}
		})
	}
}

func TestAKeyChangesByItsSuccessors(t *testing.T) {
	n := newNetwork(t)
	n.approve("CA-RC")
	first := n.peer("CA-RC")
	second := first.next()
	fifth := second.next().next().next()
	for _, p := range []*peer{first, second, second, fifth} {
		n.sends(p)
	}
	n.waitsOn(second, "version 2", "version 5 was seen before")
	n.sends(fifth)
}

func TestARenewedCertificateChangesNothing(t *testing.T) {
	n := newNetwork(t)
	n.approve("CA-RC")
	centre := n.peer("CA-RC")
	n.sends(centre)
	csr, err := centre.identity.CSR()
	must(t, err)
	n.now = n.now.Add(60 * 24 * time.Hour)
	chain, err := n.authority.IssueSite(csr, "CA-RC", n.now)
	must(t, err)
	must(t, centre.identity.SetChain(chain, n.Network, n.now))
	n.sends(centre)
}

func TestTwoSitesWithOneKey(t *testing.T) {
	n := newNetwork(t)
	n.approve("CA-RC", "SF-RC")
	centre := n.peer("CA-RC")
	thief := n.peer("SF-RC").with(func(k *statement.RecipientKey) {
		k.Recipient = centre.key.Recipient
	})
	n.waits(n.route(dat, proposals(centre, thief)...), "SF-RC is not what it was",
		"its recipient key is the one of CA-RC", "ask the admins of both")
	_, err := n.Accept(t.Context(), "SF-RC", string(thief.identity.Key()))
	must(t, err)
	n.waits(n.route(dat, proposals(centre, thief)...), "its recipient key is the one of CA-RC")
	n.sends(centre, thief.next())
}

func TestKeysThatCannotBeBelieved(t *testing.T) {
	other := newNetwork(t)
	for name, c := range map[string]struct {
		offered func(*network, *peer) (key, hashOf string)
		says    string
	}{
		"unsigned": {func(n *network, p *peer) (string, string) {
			return "x.y.z", p.key.Recipient
		}, "not properly signed"},
		"a flipped bit": {func(n *network, p *peer) (string, string) {
			return flip(p.proposed().Statement), p.key.Recipient
		}, "not properly signed"},
		"another network": {func(n *network, p *peer) (string, string) {
			q := other.peer("CA-RC")
			return q.proposed().Statement, q.key.Recipient
		}, "not properly signed"},
		"another site's": {func(n *network, p *peer) (string, string) {
			q := n.peer("SF-RC")
			return q.proposed().Statement, q.key.Recipient
		}, "not its own"},
		"another key hash": {func(n *network, p *peer) (string, string) {
			return p.proposed().Statement, "other"
		}, "not its own"},
		"another suite": {func(n *network, p *peer) (string, string) {
			q := p.with(func(k *statement.RecipientKey) { k.Recipient = hybrid(t) })
			return q.proposed().Statement, q.key.Recipient
		}, "not of this network's suite x25519"},
		"no key at all": {func(n *network, p *peer) (string, string) {
			q := p.with(func(k *statement.RecipientKey) {
				k.Recipient = "age1" + strings.Repeat("q", 58)
			})
			return q.proposed().Statement, q.key.Recipient
		}, "the key of CA-RC is malformed"},
		"expired": {func(n *network, p *peer) (string, string) {
			n.now = n.now.Add(91 * 24 * time.Hour)
			return p.proposed().Statement, p.key.Recipient
		}, "the certificate of CA-RC is not valid now"},
		"from the future": {func(n *network, p *peer) (string, string) {
			n.now = n.now.Add(-2 * time.Hour)
			return p.proposed().Statement, p.key.Recipient
		}, "check this computer's clock"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNetwork(t)
			n.approve("CA-RC")
			r := n.peer("CA-RC").proposed()
			jws, key := c.offered(n, n.peer("CA-RC"))
			r.Statement, r.KeyHash = jws, statement.RecipientKeyHash(key)
			n.waits(n.route(dat, r), c.says)
			err := n.Ledger.View(t.Context(), func(tx *ledger.Tx) error {
				_, err := tx.Pin("CA-RC")
				return err
			})
			if !errors.Is(err, ledger.ErrNotFound) {
				t.Errorf("it was pinned: %v", err)
			}
		})
	}
}

func flip(jws string) string {
	b := []byte(jws)
	if at := len(b) - 10; b[at] == 'A' {
		b[at] = 'B'
	} else {
		b[at] = 'A'
	}
	return string(b)
}

func hybrid(t *testing.T) string {
	key, err := age.GenerateHybridIdentity()
	must(t, err)
	return key.Recipient().String()
}

func TestASenderIsPinnedByItsFirstEnvelope(t *testing.T) {
	n := newNetwork(t)
	lab := n.peer("SF-LAB")
	must(t, n.Identity(t.Context(), "SF-LAB", lab.identity.Key()))
	must(t, n.Identity(t.Context(), "SF-LAB", lab.identity.Key()))
	if err := n.Identity(t.Context(), "SF-LAB",
		n.peer("SF-LAB").identity.Key()); !errors.Is(err, trust.ErrPin) {
		t.Errorf("another identity: %v", err)
	}
	if got := n.pin("SF-LAB"); got.Identity != lab.identity.Key() ||
		got.Trouble.Code != "other-identity" {
		t.Errorf("pinned %+v", got)
	}
	// Its recipient key is pinned at the first message to it, and only under that identity.
	n.approve("SF-LAB")
	n.waitsOn(n.peer("SF-LAB"), "another identity")
	n.sends(lab)
}

func TestAPersonTrustsAnotherIdentity(t *testing.T) {
	n := newNetwork(t)
	n.approve("CA-RC")
	before := n.peer("CA-RC")
	after := n.peer("CA-RC")
	n.sends(before)
	n.waitsOn(after, "another identity")
	print := string(after.identity.Key())
	was, err := n.Accept(t.Context(), "CA-RC",
		strings.ToUpper(print[:32])+" "+print[32:60]+":"+print[60:])
	must(t, err)
	if was.Identity != before.identity.Key() || was.Offered != after.identity.Key() {
		t.Errorf("the pin before: %+v", was)
	}
	n.sends(after)
	n.waitsOn(before, "another identity")
}

func TestAPersonTrustsAnIdentityThatWasNotOffered(t *testing.T) {
	n := newNetwork(t)
	n.approve("CA-RC")
	before, liar, real := n.peer("CA-RC"), n.peer("CA-RC"), n.peer("CA-RC")
	n.sends(before)
	n.waitsOn(liar, "another identity")
	was, err := n.Accept(t.Context(), "CA-RC", string(real.identity.Key()))
	must(t, err)
	if was.Offered != liar.identity.Key() {
		t.Errorf("the pin before: %+v", was)
	}
	n.waitsOn(liar, "another identity")
	n.waitsOn(before, "another identity")
	n.sends(real)
}

// The user confirms the pinned identity, and not the offered one. The pin keeps its key and
// version.
func TestConfirmingAPinKeepsItsVersion(t *testing.T) {
	n := newNetwork(t)
	n.approve("CA-RC")
	first := n.peer("CA-RC")
	second := first.next()
	n.sends(second)
	n.waitsOn(n.peer("CA-RC"), "another identity")
	_, err := n.Accept(t.Context(), "CA-RC", string(second.identity.Key()))
	must(t, err)
	if got := n.pin("CA-RC"); got.Version != 2 || !got.Trouble.IsZero() {
		t.Errorf("pinned %+v", got)
	}
	n.waitsOn(first, "version 2 was seen before")
	n.sends(second)
}

// A site that lost its recipient key starts with a new one, after a user has compared fingerprints.
func TestAPersonTrustsAnotherKey(t *testing.T) {
	n := newNetwork(t)
	n.approve("CA-RC")
	first := n.peer("CA-RC")
	n.sends(first.next())
	renewed := first.with(func(k *statement.RecipientKey) { k.Recipient = recipient(t) })
	n.waitsOn(renewed, "version 1")
	_, err := n.Accept(t.Context(), "CA-RC", string(first.identity.Key()))
	must(t, err)
	n.sends(renewed)
}

// A user cannot trust a site by the fingerprint of another one. The pin and its comparison stay.
func TestAFingerprintOfAnotherSite(t *testing.T) {
	n := newNetwork(t)
	n.approve("CA-RC", "SF-RC")
	centre, other := n.peer("CA-RC"), n.peer("SF-RC")
	must(t, n.Identity(t.Context(), "SF-RC", other.identity.Key()))
	_, err := n.Accept(t.Context(), "CA-RC", string(centre.identity.Key()))
	must(t, err)
	before := n.pin("CA-RC")
	_, err = n.Accept(t.Context(), "CA-RC", string(other.identity.Key()))
	if r := reason.Of(err); r.Code != "fingerprint-of-other" ||
		!strings.Contains(r.String(), "the fingerprint of SF-RC, not of CA-RC") {
		t.Errorf("another site's fingerprint: %v", err)
	}
	if after := n.pin("CA-RC"); after != before {
		t.Errorf("the pin was %+v and is %+v", before, after)
	}
}

func TestTrustBeforeTheFirstContact(t *testing.T) {
	n := newNetwork(t)
	n.approve("CA-RC")
	real := n.peer("CA-RC")
	_, err := n.Accept(t.Context(), "CA-RC", string(real.identity.Key()))
	must(t, err)
	n.waitsOn(n.peer("CA-RC"), "another identity")
	n.sends(real)
}

func TestFingerprintsThatAreNone(t *testing.T) {
	n := newNetwork(t)
	whole := string(n.peer("CA-RC").identity.Key())
	for _, f := range []string{"", whole[:16], whole + "00", "z" + whole[1:]} {
		if _, err := n.Accept(t.Context(), id.Site("CA-RC"), f); !errors.Is(err, id.ErrInvalid) {
			t.Errorf("%q: %v", f, err)
		}
	}
}
