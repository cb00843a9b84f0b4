package hub

import (
	"slices"
	"strings"
	"testing"
	"time"

	"sealpost/config"
	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/spool"
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
		{Site: "CA-RC", Because: strings.Repeat("x", spool.MaxBecause+1)}} {
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

// The time on hold of a site does not count for the age of its deliveries.
func TestTimeOnHoldDoesNotCount(t *testing.T) {
	q := newHeadquarters(t)
	q.config.Deliveries.ExpiresAfter = config.Duration(8 * time.Hour)
	q.start()
	t.Cleanup(q.stop)
	lab, _ := q.lab("FL-LAB"), q.centre("CA-RC", "fl-lab.#")
	// the clock goes on in steps of less than a leap
	pass := func(d time.Duration) {
		for ; d > 0; d -= 30 * time.Minute {
			q.clock.forward(30 * time.Minute)
			if err := q.hub.endOld(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	waiting := func(want int64) {
		t.Helper()
		s := ask[SitesAnswer](q, ControlSites, Nothing{}).Sites[0]
		if s.Waiting != want {
			t.Fatalf("%d wait, want %d", s.Waiting, want)
		}
	}
	m := lab.send(key("fl-lab.dat"), "x").Messages[0].ID
	pass(2 * time.Hour)
	for range 2 {
		ask[Changed](q, ControlHold, HoldRequest{Site: "CA-RC"})
		pass(40 * time.Hour)
		ask[Changed](q, ControlUnhold, HoldRequest{Site: "CA-RC"})
		q.restart()
	}
	pass(3 * time.Hour)
	waiting(1)
	endsSoon := func(want bool) {
		t.Helper()
		s := ask[SitesAnswer](q, ControlSites, Nothing{}).Sites[0]
		if s.OldestExpires.IsZero() == want {
			t.Errorf("the first ends on %v", s.OldestExpires)
		}
	}
	endsSoon(false)
	pass(90 * time.Minute)
	endsSoon(true)
	ask[LettersAnswer](q, ControlHoldOne, HoldOneRequest{LetterRequest: LetterRequest{Message: m}})
	endsSoon(false)
	ask[LettersAnswer](q, ControlUnholdOne, LetterRequest{Message: m})
	endsSoon(true)
	waiting(1)
	pass(2 * time.Hour)
	waiting(0)
}

func TestAgeWithoutHolds(t *testing.T) {
	const age = 8 * time.Hour
	at := func(hour int) time.Time { return time.Unix(0, 0).Add(time.Duration(hour) * time.Hour) }
	p := pastHold{}.and(at(10), at(30), age)
	for spooled, ends := range map[int]int{0: 28, 5: 33, 9: 37, 20: 38, 29: 38, 30: 38, 31: 39} {
		if got := p.since(at(spooled)).Add(age); !got.Equal(at(ends)) {
			t.Errorf("spooled at %d it ends at %v, want %v", spooled, got, at(ends))
		}
		for hour := max(30, spooled); hour < 50; hour++ {
			if isOld := at(spooled).Before(p.before(at(hour), age)); isOld != (hour > ends) {
				t.Errorf("spooled at %d, at %d: it is old: %v", spooled, hour, isOld)
			}
		}
	}
	if both := p.and(at(35), at(36), age); both.For != 21*time.Hour {
		t.Errorf("after another hold %v", both)
	}
	if later := p.and(at(39), at(40), age); later.For != time.Hour {
		t.Errorf("the first hold still counts: %v", later)
	}
	if !p.before(at(100), 0).IsZero() {
		t.Error("without an age something is too old")
	}
}

// A message on hold waits while others of its sender pass it, also after a restart. The sender
// reads why.
func TestHoldOfOneMessage(t *testing.T) {
	q := openHeadquarters(t)
	lab, ca, sf := q.lab("FL-LAB"), q.centre("CA-RC", "fl-lab.#"), q.centre("SF-RC", "fl-lab.#")
	kept := lab.send(key("fl-lab.dat"), "x")
	m := kept.Messages[0].ID
	in := HoldOneRequest{LetterRequest{Message: m, Site: "CA-RC"}, "a doubt"}
	out := ask[LettersAnswer](q, ControlHoldOne, in)
	if len(out.Letters) != 1 || out.Letters[0].Recipient != "CA-RC" ||
		!slices.Equal(out.Letters[0].Messages, []id.Message{m}) {
		t.Errorf("held %+v", out)
	}
	if repeated := ask[LettersAnswer](q, ControlHoldOne, in); !out.Changed || repeated.Changed ||
		!out.Letters[0].Changed || len(repeated.Letters) != 1 || repeated.Letters[0].Changed {
		t.Errorf("held %+v, and then %+v", out, repeated)
	}
	passes := lab.send(key("fl-lab.dat"), "y")
	d := ca.take()
	if d.Envelope != passes.Envelope {
		t.Errorf("the centre gets %s", d.Envelope)
	}
	ca.settle(d)
	sf.settle(sf.take())
	q.restart()
	known, err := lab.Known(t.Context(), []id.Envelope{kept.Envelope})
	want := spool.Held{Recipient: "CA-RC", Code: spool.CodeOnHold, Because: "a doubt"}
	if err != nil || !slices.Contains(known[0].Held, want) {
		t.Errorf("the lab reads %+v, %v", known, err)
	}
	list := ask[HoldsAnswer](q, ControlHolds, Nothing{})
	if len(list.Deliveries) != 1 || list.Deliveries[0].Messages[0].ID != m || list.More ||
		list.Deliveries[0].Because != "a doubt" || len(list.Sites) != 0 {
		t.Errorf("on hold are %+v", list)
	}
	for path, bad := range map[string]HoldOneRequest{
		"letter-no-message":     {LetterRequest: LetterRequest{Message: "FL-LAB_DAT_20000101_001"}},
		"hub-no-site":           {LetterRequest: LetterRequest{Message: m, Site: "NY-RC"}},
		"letter-not-for":        {LetterRequest: LetterRequest{Message: m, Site: "FL-LAB"}},
		"letter-not-waiting":    {LetterRequest: LetterRequest{Message: passes.Messages[0].ID}},
		"hold-because-too-long": {in.LetterRequest, strings.Repeat("x", spool.MaxBecause+1)},
	} {
		if path == "letter-not-waiting" {
			sf.settle(sf.take())
		}
		_, err := tryAsk[LettersAnswer](q, ControlHoldOne, bad)
		if string(reason.Of(err).Code) != path {
			t.Errorf("want %s: %v", path, err)
		}
	}
	for n := range 2 {
		out := ask[LettersAnswer](q, ControlUnholdOne, LetterRequest{Message: m})
		if len(out.Letters) != 1-n || out.Changed != (n == 0) {
			t.Errorf("released %+v", out)
		}
	}
	if d := ca.take(); d.Envelope != kept.Envelope || d.Attempts != 0 {
		t.Errorf("after the hold the centre gets %+v", d)
	}
	for _, op := range []string{spool.AuditHeld, spool.AuditUnheld} {
		if !slices.ContainsFunc(q.entries(), func(e spool.AuditEntry) bool {
			return e.Op == op && e.Envelope == kept.Envelope && strings.HasPrefix(e.By, "account")
		}) {
			t.Errorf("the audit chain has no %s", op)
		}
	}
}
