package hub

import (
	"strings"
	"testing"
	"time"

	"sealpost/config"
	"sealpost/hub/api"
)

// A site on hold gets nothing and sends nothing, also after a restart. It finishes the deliveries
// that it has, and reads why. Nothing for it expires.
func TestHold(t *testing.T) {
	q := newHeadquarters(t)
	waiting := make(chan struct{}, 8)
	q.wrap = func(s Store) Store { return waitStore{s, waiting} }
	q.config.Deliveries.ExpiresAfter = config.Duration(time.Hour)
	q.start()
	t.Cleanup(q.stop)
	lab, ca := q.lab("FL-LAB"), q.centre("CA-RC", "fl-lab.#")
	lab.send(key("fl-lab.dat"), "x")
	d := ca.take()
	<-waiting
	lease := api.LeaseRequest{Session: ca.session(), Max: 1, Wait: api.MaxWait}
	cut := make(chan error)
	go func() {
		_, err := ca.Lease(t.Context(), lease)
		cut <- err
	}()
	<-waiting
	because := HoldRequest{Site: "CA-RC", Because: "its disk is being replaced"}
	if got := ask[Changed](q, ControlHold, because); !got.Changed {
		t.Errorf("held: %+v", got)
	}
	if err := <-cut; err == nil {
		t.Error("its wait ended as if nothing had happened")
	}
	ca.settle(d)
	lab.send(key("fl-lab.dat"), "y")
	ask[Changed](q, ControlHold, HoldRequest{Site: "FL-LAB"})
	for range 2 {
		_, err := ca.Lease(t.Context(), lease)
		wantCode(t, err, api.CodeOnHold)
		if !strings.Contains(err.Error(), because.Because) || api.RetryAfter(err) == 0 {
			t.Errorf("the centre reads %v, and comes back after %s", err, api.RetryAfter(err))
		}
		wantCode(t, lab.tryPublish("fl-lab.dat"), api.CodeOnHold)
		content := make([]byte, 2<<20)
		_, err = lab.OpenUpload(t.Context(), api.UploadRequest{
			Envelope: lab.head(key("fl-lab.dat"), content).Envelope, Size: int64(len(content))})
		wantCode(t, err, api.CodeOnHold)
		hello, err := ca.Hello(t.Context())
		if err != nil || hello.Hold == nil || hello.Hold.Because != because.Because {
			t.Errorf("greeted with %+v, %v", hello, err)
		}
		s := ask[SitesAnswer](q, ControlSites, Nothing{}).Sites[0]
		if s.Hold == nil || *s.Hold != *hello.Hold || s.Waiting != 1 {
			t.Errorf("the site is listed as %+v", s)
		}
		if got := ask[Changed](q, ControlHold, because); got.Changed {
			t.Error("it is held twice")
		}
		for range 3 {
			q.clock.forward(50 * time.Minute)
			if err := q.hub.endOld(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		q.clock.forward(-q.clock.ahead)
		q.restart()
	}
	for _, bad := range []HoldRequest{{Site: "NY-RC"},
		{Site: "CA-RC", Because: strings.Repeat("x", mostBecause+1)}} {
		if got, err := tryAsk[Changed](q, ControlHold, bad); err == nil {
			t.Errorf("%.20v: held %+v", bad, got)
		}
	}
	for _, s := range []*station{lab, ca} {
		for n := range 2 {
			if got := ask[Changed](q, ControlUnhold,
				HoldRequest{Site: s.site}); got.Changed != (n == 0) {
				t.Errorf("%s: released %+v", s.site, got)
			}
		}
	}
	lab.send(key("fl-lab.dat"), "z")
	for range 2 {
		ca.settle(ca.take())
	}
}
