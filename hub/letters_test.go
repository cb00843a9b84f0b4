package hub

import (
	"bytes"
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

// requeue requeues a message, and returns its only result.
func (q *headquarters) requeue(m id.Message) LetterChange {
	q.t.Helper()
	out := ask[LettersAnswer](q, ControlRequeue, LetterRequest{Message: m})
	if len(out.Letters) != 1 {
		q.t.Fatalf("requeued %+v", out.Letters)
	}
	return out.Letters[0]
}

// A removal by mistake is undone: the site is admitted again, and its dead letters are requeued.
// The sender is told of each step.
func TestRequeue(t *testing.T) {
	q := openHeadquarters(t)
	lab := q.lab("FL-LAB")
	ca := q.centre("CA-RC", "fl-lab.#")
	sent := lab.send(key("fl-lab.dat"), "x")
	m := sent.Messages[0].ID
	letter := LetterRequest{Message: m}
	for _, path := range []string{ControlRequeue, ControlDiscard} {
		if _, err := tryAsk[LettersAnswer](q, path, letter); err == nil ||
			!strings.Contains(err.Error(), "waits or has arrived") {
			t.Errorf("%s of a waiting one: %v", path, err)
		}
	}
	if got := ask[Removed](q, ControlRemove, RemoveRequest{Site: "CA-RC"}); got.Killed != 1 {
		t.Fatalf("removed %+v", got)
	}
	list := ask[DeadAnswer](q, ControlDead, DeadRequest{})
	if len(list.Letters) != 1 || list.Letters[0].Code != deadRemoved ||
		list.Letters[0].Messages[0].ID != m || list.Keep != 30*24*time.Hour {
		t.Errorf("the dead letters are %+v", list)
	}
	if got := q.requeue(m); got.Failed.Code != "letter-no-recipient" {
		t.Errorf("requeued for a removed site: %+v", got)
	}
	ask[Changed](q, ControlAdmit, AdmitRequest{Site: "CA-RC", Fingerprint: ca.identity.Key(),
		Role: config.RoleReceive})
	if got := q.requeue(m); !got.Failed.IsZero() || !slices.Equal(got.Messages, []id.Message{m}) {
		t.Errorf("requeued: %+v", got)
	}
	d := ca.take()
	if d.Envelope != sent.Envelope || d.Attempts != 0 || string(d.Content) != "x" {
		t.Errorf("leased %+v", d)
	}
	ca.settle(d)
	var kinds []spool.EventKind
	for after := spool.Cursor(0); !slices.Contains(kinds, spool.EventSettled); {
		got, err := lab.Events(t.Context(), api.EventsRequest{After: after, Wait: api.MaxWait})
		if err != nil || len(got.Events) == 0 {
			t.Fatalf("the lab was told only %v, %v", kinds, err)
		}
		for _, e := range got.Events {
			if e.Kind != spool.EventRoute {
				kinds = append(kinds, e.Kind)
			}
		}
		after = got.Next
	}
	if !slices.Equal(kinds, []spool.EventKind{spool.EventDead, spool.EventRequeued,
		spool.EventSettled}) {
		t.Errorf("the lab was told %v", kinds)
	}
	if used := ask[UsageAnswer](q, ControlUsage, Nothing{}); used.Dead.Used != (spool.Usage{}) ||
		used.Hub.Used.Bytes != 0 {
		t.Errorf("the hub holds %+v", used)
	}
}

// A site has joined anew, and is admitted with its former key. It can open its letter of that time.
func TestRequeueForAFormerKey(t *testing.T) {
	q := openHeadquarters(t)
	lab := q.lab("FL-LAB")
	first := q.centre("CA-RC", "fl-lab.#")
	m := lab.send(key("fl-lab.dat"), "x").Messages[0].ID
	ask[Removed](q, ControlRemove, RemoveRequest{Site: "CA-RC"})
	q.centre("CA-RC")
	ask[Removed](q, ControlRemove, RemoveRequest{Site: "CA-RC"})
	ask[Changed](q, ControlAdmit, AdmitRequest{Site: "CA-RC", Role: config.RoleReceive,
		Fingerprint: first.identity.Key()})
	if got := q.requeue(m); !got.Failed.IsZero() {
		t.Errorf("it answers %+v", got)
	}
}

// A letter for another key, or without content, is not requeued. The answer has the command with
// which its lab sends the file again.
func TestRequeueInVain(t *testing.T) {
	q := openHeadquarters(t)
	lab := q.lab("FL-LAB")
	q.centre("CA-RC", "fl-lab.#")
	m := lab.send(key("fl-lab.dat"), "x").Messages[0].ID
	ask[Removed](q, ControlRemove, RemoveRequest{Site: "CA-RC"})
	q.centre("CA-RC")
	resend := "sealpost agent resend " + string(m) + " --to CA-RC"
	if got := q.requeue(m); got.Failed.Code != "letter-other-key" ||
		!strings.Contains(got.Failed.String(), resend) {
		t.Errorf("requeued for another key: %+v", got)
	}
	for n := range 2 {
		out := ask[LettersAnswer](q, ControlDiscard, LetterRequest{Message: m, Site: "CA-RC"})
		if len(out.Letters) != 1 || !out.Letters[0].Failed.IsZero() || out.Changed != (n == 0) {
			t.Errorf("discarded: %+v", out)
		}
	}
	if list := ask[DeadAnswer](q, ControlDead, DeadRequest{}); len(list.Letters) != 0 {
		t.Errorf("the dead letters are %+v", list)
	}
	blocks, err := q.hub.spool.AuditBlocks(t.Context(), 0, 1<<20)
	if all := string(bytes.Join(blocks, nil)); err != nil ||
		!strings.Contains(all, `"call":"/requeue","text":"refused: `) ||
		strings.Contains(all, `"call":"/requeue","text":"done `) {
		t.Errorf("%v, and the audit chain has %s", err, all)
	}
	second := lab.send(key("fl-lab.dat"), "x").Messages[0].ID
	next := q.config.Deliveries
	next.DeadKeep = 0
	if err := q.hub.changeQuota(t.Context(), q.config.Quota, next); err != nil {
		t.Fatal(err)
	}
	s := q.hub.dir.view().sites["CA-RC"]
	if _, err := q.hub.spool.Kill(t.Context(), s.queueName(), "removed"); err != nil {
		t.Fatal(err)
	}
	if got := q.requeue(second); got.Failed.Code != "letter-no-content" {
		t.Errorf("requeued without content: %+v", got)
	}
	for _, bad := range []LetterRequest{{Message: "x"}, {Message: m, Site: "NY-RC"},
		{Message: "FL-LAB_DAT_20251008_999"}} {
		if got, err := tryAsk[LettersAnswer](q, ControlRequeue, bad); err == nil {
			t.Errorf("%+v: requeued %+v", bad, got)
		}
	}
}

// A delivery that waits for too long ends, and so does one that fails too often. Both sides are
// told before. Requeued, it waits as long again.
func TestDeliveriesExpire(t *testing.T) {
	q := newHeadquarters(t)
	q.config.Deliveries.ExpiresAfter = config.Duration(4 * time.Hour)
	q.config.Deliveries.MaxAttempts = 2
	q.start()
	t.Cleanup(q.stop)
	lab := q.lab("FL-LAB")
	ca, sf := q.centre("CA-RC", "fl-lab.dat"), q.centre("SF-RC", "fl-lab.raw")
	m := lab.send(key("fl-lab.dat"), "x").Messages[0].ID
	hello, err := lab.Hello(t.Context())
	if err != nil || hello.ExpiresAfter != 4*time.Hour {
		t.Errorf("the lab is greeted with %+v, %v", hello, err)
	}
	round := func(waiting int64, expires bool) {
		t.Helper()
		if err := q.hub.endOld(t.Context()); err != nil {
			t.Fatal(err)
		}
		s := ask[SitesAnswer](q, ControlSites, Nothing{}).Sites[0]
		if s.Site != "CA-RC" || s.Waiting != waiting || s.OldestExpires.IsZero() == expires {
			t.Fatalf("%d wait, the oldest until %v", s.Waiting, s.OldestExpires)
		}
	}
	for range 2 {
		round(1, false)
		for range 4 {
			q.clock.forward(50 * time.Minute)
			round(1, q.clock.ahead > 3*time.Hour && q.clock.ahead < 4*time.Hour)
		}
		q.clock.forward(50 * time.Minute)
		round(0, false)
		if list := ask[DeadAnswer](q, ControlDead, DeadRequest{}); len(list.Letters) != 1 ||
			list.Letters[0].Code != "expired" {
			t.Fatalf("the dead letters are %+v", list)
		}
		q.clock.forward(-q.clock.ahead)
		q.requeue(m)
	}
	ca.settle(ca.take())
	lab.send(key("fl-lab.raw"), "x")
	for range 2 {
		round(0, false)
		d := sf.take()
		if err := sf.Release(t.Context(), api.ReleaseRequest{Token: d.Token,
			Code: api.ReleaseFull}); err != nil {
			t.Fatal(err)
		}
	}
	round(0, false)
	if list := ask[DeadAnswer](q, ControlDead, DeadRequest{}); len(list.Letters) != 1 ||
		list.Letters[0].Code != "max-attempts" || list.Letters[0].Attempts != 2 {
		t.Errorf("the dead letters are %+v", list)
	}
}

// An admin gives one centre more time than the others, or no end, or less. Labs are told.
func TestOneQueueHasATimeOfItsOwn(t *testing.T) {
	q := newHeadquarters(t)
	q.config.Deliveries.ExpiresAfter = config.Duration(4 * time.Hour)
	q.start()
	t.Cleanup(q.stop)
	lab := q.lab("FL-LAB")
	sites := []id.Site{"CA-RC", "NY-RC", "SF-RC"}
	for _, site := range sites {
		q.centre(site, "fl-lab.dat")
	}
	lab.send(key("fl-lab.dat"), "x")
	set := func(site id.Site, after time.Duration) (SiteUsage, error) {
		return tryAsk[SiteUsage](q, ControlQuota, QuotaRequest{Site: site, ExpiresAfter: after})
	}
	for _, bad := range []struct {
		site  id.Site
		after time.Duration
		code  reason.Code
	}{{"FL-LAB", time.Hour, "quota-of-sender"}, {"CA-RC", time.Minute, "quota-expires-too-soon"},
		{"CA-RC", -3, "quota-expires-too-soon"}} {
		if _, err := set(bad.site, bad.after); reason.Of(err).Code != bad.code {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	expect := func(n int, waiting ...int64) {
		t.Helper()
		list := ask[SitesAnswer](q, ControlSites, Nothing{}).Sites
		for i, s := range []SiteStatus{list[0], list[2], list[3]} {
			if s.Site != sites[i] || s.Waiting != waiting[i] {
				t.Errorf("%d: %s has %d waiting, want %d", n, s.Site, s.Waiting, waiting[i])
			}
		}
	}
	if got, err := set("CA-RC", 8*time.Hour); err != nil || got.ExpiresAfter != 8*time.Hour ||
		!got.OwnExpires {
		t.Errorf("set to %+v, %v", got, err)
	}
	if got, err := set("NY-RC", NeverExpires); err != nil || got.ExpiresAfter != 0 ||
		!got.OwnExpires {
		t.Errorf("set to %+v, %v", got, err)
	}
	hello, err := lab.Hello(t.Context())
	if err != nil || len(hello.ExpiresOf) != 2 || hello.ExpiresOf["CA-RC"] != 8*time.Hour ||
		hello.ExpiresOf["NY-RC"] != 0 {
		t.Errorf("the lab is greeted with %+v, %v", hello.ExpiresOf, err)
	}
	q.restart()
	q.rounds(5 * time.Hour)
	expect(1, 1, 1, 0)
	q.rounds(4 * time.Hour)
	expect(2, 0, 1, 0)
	if got, err := set("NY-RC", DefaultQuota); err != nil || got.ExpiresAfter != 4*time.Hour ||
		got.OwnExpires {
		t.Errorf("set to %+v, %v", got, err)
	}
	q.rounds(time.Minute)
	expect(3, 0, 0, 0)
}

// Dead letters are discarded by their age. After a leap of the clock nothing is, for as long as the
// leap and at most a day.
func TestDeadLettersAge(t *testing.T) {
	q := openHeadquarters(t)
	lab := q.lab("FL-LAB")
	q.centre("CA-RC", "fl-lab.#")
	lab.send(key("fl-lab.dat"), "x")
	ask[Removed](q, ControlRemove, RemoveRequest{Site: "CA-RC"})
	round := func(ahead time.Duration, letters int, isPaused bool) {
		t.Helper()
		q.clock.forward(ahead)
		if err := q.hub.endOld(t.Context()); err != nil {
			t.Fatal(err)
		}
		list := ask[DeadAnswer](q, ControlDead, DeadRequest{})
		if s := ask[Status](q, ControlStatus, Nothing{}); !s.Paused.Equal(list.Paused) {
			t.Fatalf("the status has a pause until %v", s.Paused)
		}
		if len(list.Letters) != letters || list.Paused.IsZero() == isPaused {
			t.Fatalf("there are %d letters, paused until %v", len(list.Letters), list.Paused)
		}
	}
	round(0, 1, false)
	round(31*24*time.Hour, 1, true)
	round(-31*24*time.Hour, 1, false) // the admin corrects the clock
	round(31*24*time.Hour, 1, true)
	q.restart()
	round(0, 1, true)
	for range 24 {
		round(59*time.Minute, 1, true)
	}
	round(59*time.Minute, 0, false)
}

// The clock's looks tell leaps from the usual passing of time.
func TestLeaps(t *testing.T) {
	start := time.Date(2025, 10, 8, 12, 0, 0, 0, time.UTC)
	var a ages
	for n, tc := range []struct {
		at     time.Duration // since the start
		leap   time.Duration
		mayEnd bool
	}{
		{0, 0, true},
		{time.Minute, 0, true},
		{9 * time.Hour, 9*time.Hour - time.Minute, false}, // off for a night
		{10*time.Hour - 1, 0, false},
		{-time.Hour, 0, true},
		{-time.Minute, 0, true},
	} {
		leap, g := a.look(start.Add(tc.at))
		if leap != tc.leap || g.Paused.IsZero() != tc.mayEnd {
			t.Errorf("look %d: a leap of %s, paused until %v", n, leap, g.Paused)
		}
	}
}
