package outbox

import (
	"errors"
	"strings"
	"testing"
	"time"

	"sealpost/agent/ledger"
	"sealpost/agent/trust"
	"sealpost/certs"
	"sealpost/envelope"
	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/statement"
)

// atHub seals and publishes a message for CA-RC, as far as the ledger knows.
func (s *sealer) atHub(m ledger.Outgoing, digest id.Hash) id.Envelope {
	s.t.Helper()
	e := ledger.Envelope{ID: id.Random128[id.Envelope](), Address: m.Address,
		Recipients: []ledger.Recipient{{Site: "CA-RC", Key: "k"}}}
	rows := []ledger.SealedMessage{{Seq: m.Seq, UID: m.UID, Digest: digest}}
	s.update(func(tx *ledger.Tx) error {
		return errors.Join(tx.Seal(e, rows, ledger.Taken),
			tx.Publish(e.ID, "incarnation", 1, time.Now()))
	})
	return e.ID
}

// doubtful returns the reason of a message, and the number of messages in doubt.
func (s *sealer) doubtful(m ledger.Outgoing) (reason.Reason, int) {
	s.t.Helper()
	message, err := s.Message(s.t.Context(), string(m.ID))
	if err != nil {
		s.t.Fatal(err)
	}
	status, err := s.Status(s.t.Context(), 1)
	if err != nil {
		s.t.Fatal(err)
	}
	return message.Reason, len(status.Doubted)
}

// A receipt in doubt is reported with the ways out until it is believed. That is found out after a
// restart, too.
func TestAReceiptInDoubtIsReported(t *testing.T) {
	s := newSealer(t)
	authority := labIdentity(t).authority
	s.trust = &trust.Trust{Ledger: s.ledger, Network: authority.Network(), Suite: "x25519",
		Verifier: certs.NewVerifier(authority.Root()), Now: time.Now, Log: s.log}
	centre := siteIdentity(t, authority, "CA-RC")
	before := siteIdentity(t, authority, "CA-RC")
	list := s.taken("data.csv", "waits for its receipt")
	m, digest := list[0], id.Hash(strings.Repeat("a", 64))
	e := s.atHub(m, digest)
	s.atHub(list[1], digest)
	if why, n := s.doubtful(m); !why.IsZero() || n != 0 {
		t.Fatalf("without a receipt: %+v, %d messages", why, n)
	}

	if err := s.trust.Identity(t.Context(), "CA-RC", before.Key()); err != nil {
		t.Fatal(err)
	}
	receipt, err := statement.Sign(centre, statement.Receipt{V: 1, Network: authority.Network(),
		Envelope: e, Sender: "FL-LAB", Recipient: "CA-RC",
		Time: time.Now().UTC().Truncate(time.Millisecond),
		Messages: []statement.ReceiptMessage{{UID: m.UID, Message: m.ID,
			Outcome:     statement.Delivered,
			Fingerprint: envelope.Fingerprint(m.FingerprintKey, digest)}}})
	if err != nil {
		t.Fatal(err)
	}
	a, err := s.answer(t.Context(), e, api.Result{Recipient: "CA-RC", Receipt: receipt,
		Time: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	s.update(func(tx *ledger.Tx) error { return tx.Answer(a) })
	for range 2 {
		why, n := s.doubtful(m)
		if why.Code != "receipts-not-believed" || n != 1 {
			t.Fatalf("in doubt: %+v, %d messages", why, n)
		}
		for _, way := range []string{"sealpost agent trust CA-RC'", string(centre.Key()),
			"sealpost agent resend " + string(m.ID) + " --to CA-RC"} {
			if !strings.Contains(why.String(), way) {
				t.Errorf("it says %s", why)
			}
		}
		if err := s.recheckAll(t.Context()); err != nil { // the reason goes on
			t.Fatal(err)
		}
	}
	for to, want := range map[id.Site]reason.Code{
		"SF-RC": "not-finished",      // there is no doubt
		"CA-RC": "not-what-was-sent", // the digest is another one
	} {
		_, err := s.Resend(t.Context(), Resending{Message: string(m.ID), To: to})
		if got := reason.Of(err).Code; got != want {
			t.Errorf("resent to %s: %s", to, got)
		}
	}

	if _, err := s.trust.Accept(t.Context(), "CA-RC", string(centre.Key())); err != nil {
		t.Fatal(err)
	}
	if err := s.recheckAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if why, n := s.doubtful(m); !why.IsZero() || n != 0 || s.state(m) != ledger.Delivered {
		t.Errorf("once it is believed: %+v, %d messages, %s", why, n, s.state(m))
	}
}
