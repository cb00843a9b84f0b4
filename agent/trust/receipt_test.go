package trust_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"sealpost/agent/trust"
	"sealpost/internal/id"
	"sealpost/statement"
)

const sent = id.Envelope("0123456789abcdef0123456789abcdef")

// receipt returns the site's receipt for the envelope sent, after a change.
func (p *peer) receipt(change func(*statement.Receipt)) string {
	p.n.t.Helper()
	r := statement.Receipt{V: 1, Network: p.n.Network, Envelope: sent, Sender: "FL-LAB",
		Recipient: p.site, Time: p.n.now,
		Messages: []statement.ReceiptMessage{{UID: id.UID(sent), Message: "FL-LAB_DAT_20260301_001",
			Outcome: statement.Delivered, Fingerprint: p.n.Network}}}
	if change != nil {
		change(&r)
	}
	jws, err := statement.Sign(p.identity, r)
	must(p.n.t, err)
	return jws
}

func (n *network) believes(jws string, at time.Time) error {
	n.t.Helper()
	r, err := n.Believe(n.t.Context(), jws, "FL-LAB", "CA-RC", sent, at)
	if err == nil && (r.Envelope != sent || r.Recipient != "CA-RC") {
		n.t.Errorf("believed %+v", r)
	}
	return err
}

func TestReceipts(t *testing.T) {
	n := newNetwork(t)
	n.approve("CA-RC")
	centre := n.peer("CA-RC")
	n.sends(centre)
	must(t, n.believes(centre.receipt(nil), n.now))
	later := n.now.Add(300 * 24 * time.Hour)
	must(t, func() error {
		n.now = later
		return n.believes(centre.receipt(nil), start)
	}()) // longer than its certificate is valid
	must(t, n.believes(centre.receipt(func(r *statement.Receipt) {
		r.Time = start
	}), later)) // and the hub was unreachable meanwhile
	n.now = start
	for name, c := range map[string]struct {
		jws  string
		at   time.Time
		says string
	}{
		"no receipt":        {"x", n.now, "not properly signed"},
		"a flipped bit":     {flip(centre.receipt(nil)), n.now, "not properly signed"},
		"another statement": {centre.proposed().Statement, n.now, "not properly signed"},
		"of another network": {newNetwork(t).peer("CA-RC").receipt(nil), n.now,
			"not properly signed"},
		"after its certificate": {centre.receipt(func(r *statement.Receipt) {
			r.Time = n.now.Add(91 * 24 * time.Hour)
		}), n.now.Add(91 * 24 * time.Hour), "not properly signed"},
		"another identity": {n.peer("CA-RC").receipt(nil), n.now,
			"another identity than the one pinned for CA-RC"},
		"another site's": {n.peer("SF-RC").receipt(nil), n.now, "is of something else"},
		"another envelope": {centre.receipt(func(r *statement.Receipt) {
			r.Envelope = "ffffffffffffffffffffffffffffffff"
		}), n.now, "is of something else"},
		"another sender": {centre.receipt(func(r *statement.Receipt) {
			r.Sender, r.Messages[0].Message = "SF-LAB", "SF-LAB_DAT_20260301_001"
		}), n.now, "is of something else"},
	} {
		t.Run(name, func(t *testing.T) {
			err := n.believes(c.jws, c.at)
			var doubt *trust.Doubt
			if !errors.As(err, &doubt) || !strings.Contains(doubt.Reason.String(), c.says) {
				t.Errorf("got %v", err)
			}
		})
	}
	must(t, n.believes(centre.receipt(nil), n.now))
}

func TestAReceiptIsBelievedOnceItsSignerIsTrusted(t *testing.T) {
	n := newNetwork(t)
	n.approve("CA-RC")
	n.sends(n.peer("CA-RC"))
	rebuilt := n.peer("CA-RC")
	jws := rebuilt.receipt(nil)
	err := n.believes(jws, n.now)
	if err == nil || !strings.Contains(err.Error(), "sealpost agent trust CA-RC'") ||
		!strings.Contains(err.Error(), string(rebuilt.identity.Key())) {
		t.Fatalf("got %v", err)
	}
	_, err = n.Accept(t.Context(), "CA-RC", string(rebuilt.identity.Key()))
	must(t, err)
	must(t, n.believes(jws, n.now))
}

func TestALedgerThatFailsIsNoDoubt(t *testing.T) {
	n := newNetwork(t)
	n.approve("CA-RC")
	centre := n.peer("CA-RC")
	n.sends(centre)
	must(t, n.Ledger.Close())
	defer n.open()
	var doubt *trust.Doubt
	if err := n.believes(centre.receipt(nil), n.now); err == nil || errors.As(err, &doubt) {
		t.Errorf("a receipt: %v", err)
	}
	var waiting *trust.Waiting
	if _, err := n.Decide(t.Context(), dat, n.route(dat, centre.proposed())); err == nil ||
		errors.As(err, &waiting) {
		t.Errorf("a route: %v", err)
	}
	if err := n.Identity(t.Context(), "CA-RC", centre.identity.Key()); err == nil ||
		errors.Is(err, trust.ErrPin) {
		t.Errorf("an identity: %v", err)
	}
}
