package hub

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"sealpost/hub/api"
	"sealpost/internal/testkit"
)

// helloOnAll asks on several connections at once, several times each.
func (s *station) helloOnAll(t *testing.T, when string) {
	t.Helper()
	var g errgroup.Group
	for range 8 {
		g.Go(func() error {
			for range 4 {
				if _, err := s.Hello(t.Context()); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatalf("%s: a request was lost: %v", when, err)
	}
}

// Replacing the certificates of both sides loses no request, neither at the renewal nor when the
// old ones expire.
func TestRenewalLosesNoRequest(t *testing.T) {
	const day = 24 * time.Hour
	q := openHeadquarters(t)
	lab := q.lab("FL-LAB")
	first := q.hub.identity.NotAfter()
	lab.helloOnAll(t, "at first")
	q.clock.forward(59 * day)
	lab.helloOnAll(t, "before the time")
	if !q.hub.identity.NotAfter().Equal(first) {
		t.Error("the hub renewed too early")
	}
	q.clock.forward(2 * day)
	got, err := lab.Renew(t.Context(), api.RenewRequest{CSR: lab.csr()})
	if err != nil {
		t.Fatal(err)
	}
	if err := lab.identity.SetChain([]byte(got.Chain), q.network(), q.clock.now()); err != nil {
		t.Fatal(err)
	}
	lab.helloOnAll(t, "after the renewal")
	lab.helloOnAll(t, "after the renewal")
	q.clock.forward(30 * day)
	lab.helloOnAll(t, "when the old certificates have expired")
	testkit.Eventually(t, "the hub renews its own certificate", func() bool {
		return q.hub.identity.NotAfter().After(first) // a handshake may have begun it just now
	})
}

// A certificate is signed when one is due, however often a site asks.
func TestCertificatesAreSignedWhenDue(t *testing.T) {
	const day = 24 * time.Hour
	q := openHeadquarters(t)
	invited := ask[Invited](q, ControlInvite, InviteRequest{Site: "FL-LAB", Role: "send"})
	lab := q.stranger("FL-LAB")
	signed := 0
	expect := func(event string, more int) {
		t.Helper()
		signed += more
		got := strings.Count(q.log.String(), `msg="certificate issued"`)
		if got != signed {
			t.Errorf("%s: %d certificates are signed, want %d", event, got, signed)
		}
	}
	renew := func() {
		t.Helper()
		got, err := lab.Renew(t.Context(), api.RenewRequest{CSR: lab.csr()})
		if err == nil {
			err = lab.identity.SetChain([]byte(got.Chain), q.network(), q.clock.now())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for range 5 {
		if err := lab.enroll(invited.Secret); err != nil {
			t.Fatal(err)
		}
	}
	expect("enrolled five times", 1)
	for range 5 {
		renew()
	}
	expect("renewed before its time", 0)
	q.restart() // the hub forgets whom it gave a certificate
	renew()
	expect("renewed before its time, after a restart", 0)
	q.clock.forward(60 * day)
	for range 5 {
		renew() // on the connection of the old certificate, too
	}
	expect("renewed when due", 1)
	lab.CloseIdle()
	if _, err := lab.Hello(t.Context()); err != nil {
		t.Error(err)
	}
	ask[Removed](q, ControlRemove, RemoveRequest{Site: "FL-LAB"})
	second := ask[Invited](q, ControlInvite, InviteRequest{Site: "FL-LAB", Role: "send"})
	if err := q.stranger("FL-LAB").enroll(second.Secret); err != nil {
		t.Fatal(err)
	}
	expect("another key", 1)
}
