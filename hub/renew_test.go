package hub

import (
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"sealpost/hub/api"
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
	if !q.hub.identity.NotAfter().After(first) {
		t.Error("the hub has not renewed its own certificate")
	}
}
