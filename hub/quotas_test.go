package hub

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"sealpost/config"
	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/spool"
)

// tryPublish publishes a small envelope, which may be refused.
func (s *station) tryPublish(address string) error {
	s.q.t.Helper()
	in := s.head(key(address), []byte("x"))
	_, err := s.Publish(s.q.t.Context(), in, []byte("x"))
	return err
}

// expectOver expects the refusal of a quota.
func expectOver(t *testing.T, err error, want spool.OverQuota) {
	t.Helper()
	wantCode(t, err, api.CodeQuota)
	problem, ok := errors.AsType[*api.Error](err)
	if !ok || problem.Quota == nil || *problem.Quota != want {
		t.Errorf("refused by %+v, want %+v", problem, want)
		return
	}
	if problem.After != quotaRetry && !want.NeverFits() ||
		problem.After != quotaNever && want.NeverFits() {
		t.Errorf("come back after %s", problem.After)
	}
	if !errors.Is(err, spool.ErrQuota) || !api.Retry(err) {
		t.Errorf("%v is no ErrQuota, or final", err)
	}
}

// A quota refuses one site, with the limit, the counts and a time. The admin's own limit for a site
// outlives a restart.
func TestQuotas(t *testing.T) {
	q := newHeadquarters(t)
	q.config.Quota.SiteEnvelopes = 2
	q.config.Quota.QueueBytes = 100
	q.start()
	t.Cleanup(q.stop)
	lab, other := q.lab("FL-LAB"), q.lab("PA-LAB")
	ca := q.centre("CA-RC", "#")
	lab.send(key("fl-lab.dat"), "x")
	lab.send(key("fl-lab.dat"), "x")
	over := spool.OverQuota{Scope: spool.ScopeSite, Name: "FL-LAB", Limit: spool.LimitEnvelopes,
		Used: 2, Allowed: 2, Needed: 1}
	expectOver(t, lab.tryPublish("fl-lab.dat"), over)
	expectOver(t, lab.tryPublish("fl-lab.dat"), over)
	if log := q.log.String(); strings.Count(log, refusedQuota) != 1 ||
		!strings.Contains(log, "level=WARN msg=\"over quota\" site=FL-LAB") {
		t.Errorf("the log has not one line of it:\n%s", log)
	}
	other.send(key("pa-lab.dat"), "x")

	got := ask[SiteUsage](q, ControlQuota, QuotaRequest{Site: "FL-LAB",
		Send: spool.Quota{Envelopes: 3}})
	if want := (spool.Usage{Bytes: 2, Envelopes: 2, Messages: 2,
		Metadata: 2 * spool.MetadataSize(1, 1)}); got.Send.Used != want ||
		got.Send.Allowed.Envelopes != 3 || !got.Send.Own || got.Send.Allowed.Uploads != 32 {
		t.Errorf("usage is %+v", got)
	}
	lab.send(key("fl-lab.dat"), "x")
	q.restart()
	over.Used, over.Allowed = 3, 3
	expectOver(t, lab.tryPublish("fl-lab.dat"), over)
	all := ask[UsageAnswer](q, ControlUsage, Nothing{})
	if len(all.Sites) != 3 || all.Hub.Used.Envelopes != 4 || all.Hub.Allowed.Bytes <= 0 ||
		all.Sites[0].Queue == nil || all.Sites[0].Queue.Used.Envelopes != 4 {
		t.Errorf("usages are %+v", all)
	}
	sites := ask[SitesAnswer](q, ControlSites, Nothing{})
	if u := sites.Sites[1].Usage; u == nil || u.Send.Used.Envelopes != 3 || u.Queue != nil {
		t.Errorf("of FL-LAB hub sites has %+v", u)
	}
	for range 3 { // two of FL-LAB, and the one of PA-LAB between them
		ca.settle(ca.take())
	}
	lab.send(key("fl-lab.dat"), "x")
	ask[SiteUsage](q, ControlQuota, QuotaRequest{Site: "FL-LAB",
		Send: spool.Quota{Envelopes: DefaultQuota}})
	over.Used, over.Allowed = 2, 2
	expectOver(t, lab.tryPublish("fl-lab.dat"), over)

	in := other.head(key("pa-lab.dat"), make([]byte, 101))
	_, err := other.Publish(t.Context(), in, make([]byte, 101))
	expectOver(t, err, spool.OverQuota{Scope: spool.ScopeQueue, Name: "ca_rc_queue",
		Limit: spool.LimitBytes, Used: 2, Allowed: 100, Needed: 101})
	ask[SiteUsage](q, ControlQuota, QuotaRequest{Site: "CA-RC", Queue: spool.Quota{Bytes: 200}})
	if _, err = other.Publish(t.Context(), in, make([]byte, 101)); err != nil {
		t.Error(err)
	}
	if _, err := tryAsk[SiteUsage](q, ControlQuota, QuotaRequest{Site: "XX-LAB"}); err == nil {
		t.Error("a site that is not there has a quota")
	}
}

// Limits without effect are refused, and so is one below which each message waits for ever. A limit
// that has lost its effect can be taken back.
func TestLimitsWithoutEffect(t *testing.T) {
	q := newHeadquarters(t)
	q.start()
	t.Cleanup(q.stop)
	q.lab("FL-LAB")
	q.centre("CA-RC", "#")
	for code, in := range map[string]QuotaRequest{
		"quota-of-receiver":   {Site: "CA-RC", Send: spool.Quota{Bytes: 1 << 30}},
		"quota-of-sender":     {Site: "FL-LAB", Queue: spool.Quota{Envelopes: 10}},
		"quota-below-message": {Site: "FL-LAB", Send: spool.Quota{Metadata: 100}},
	} {
		_, err := tryAsk[SiteUsage](q, ControlQuota, in)
		if r := reason.Of(err); string(r.Code) != code {
			t.Errorf("%s: refused with %+v", code, r)
		}
	}
	for _, in := range []QuotaRequest{
		{Site: "CA-RC", Send: spool.Quota{Bytes: DefaultQuota}},
		{Site: "FL-LAB", Send: spool.Quota{Metadata: spool.MetadataSize(64, 1) * 2}},
	} {
		ask[SiteUsage](q, ControlQuota, in)
	}
	if least := int64(config.LeastMetadata); spool.MetadataSize(64, 1) > least {
		t.Errorf("a message to 64 sites does not fit into %d bytes of metadata", least)
	}
}

// A quota without room for another envelope has its counts in words.
func TestFullQuotas(t *testing.T) {
	for name, c := range map[string]struct {
		held QuotaState
		says string
	}{
		"empty":     {QuotaState{Allowed: spool.Quota{Bytes: 10, Envelopes: 1}}, ""},
		"unlimited": {QuotaState{Used: spool.Usage{Bytes: 1 << 40, Messages: 1 << 20}}, ""},
		"bytes and uploads": {QuotaState{Used: spool.Usage{Bytes: 1 << 20, Reserved: 1 << 20},
			Allowed: spool.Quota{Bytes: 2 << 20}}, "2.0 MiB of 2.0 MiB are used"},
		"envelopes": {QuotaState{Used: spool.Usage{Envelopes: 7},
			Allowed: spool.Quota{Envelopes: 5}}, "envelopes: 7 of 5 are used"},
		"metadata": {QuotaState{Used: spool.Usage{Metadata: 16 << 10},
			Allowed: spool.Quota{Metadata: 16 << 10}}, "until midnight"},
	} {
		if got := c.held.Full().String(); (got == "") != (c.says == "") ||
			!strings.Contains(got, c.says) {
			t.Errorf("%s: it says %q", name, got)
		}
	}
}

// Metadata are limited by the day: a sender above its limit is told to come back at midnight.
func TestMetadataQuota(t *testing.T) {
	q := newHeadquarters(t)
	q.config.Quota.SiteMetadata = config.Size(spool.MetadataSize(1, 1))
	q.start()
	t.Cleanup(q.stop)
	q.clock.stop()
	lab := q.lab("FL-LAB")
	q.centre("CA-RC", "#")
	lab.send(key("fl-lab.dat"), "x")
	err := lab.tryPublish("fl-lab.dat")
	wantCode(t, err, api.CodeQuota)
	problem, _ := errors.AsType[*api.Error](err)
	now := q.clock.now().UTC()
	midnight := now.Truncate(24 * time.Hour).Add(24 * time.Hour).Sub(now)
	want := max(min(midnight.Truncate(time.Second), time.Hour), quotaRetry)
	if problem == nil || problem.After != want || problem.Quota.Limit != spool.LimitMetadata {
		t.Errorf("refused by %+v, want %s", problem, want)
	}
	got := ask[UsageAnswer](q, ControlUsage, Nothing{}).Sites
	if send := got[1].Send; send.Used.Metadata != send.Allowed.Metadata {
		t.Errorf("usage is %+v", send)
	}
}

// Uploads are refused by count and by bytes before a byte of them is sent.
func TestUploadQuotas(t *testing.T) {
	q := newHeadquarters(t)
	q.config.Quota.SiteUploads = 1
	q.start()
	t.Cleanup(q.stop)
	lab := q.lab("FL-LAB")
	q.centre("CA-RC", "#")
	content := make([]byte, spool.SmallSize+1)
	up := api.UploadRequest{Envelope: id.Random128[id.Envelope](), Size: int64(len(content))}
	if _, err := lab.OpenUpload(t.Context(), up); err != nil {
		t.Fatal(err)
	}
	second := up
	second.Envelope = id.Random128[id.Envelope]()
	_, err := lab.OpenUpload(t.Context(), second)
	expectOver(t, err, spool.OverQuota{Scope: spool.ScopeSite, Name: "FL-LAB",
		Limit: spool.LimitUploads, Used: 1, Allowed: 1, Needed: 1})
	if err := lab.AbortUpload(t.Context(), up.Envelope); err != nil {
		t.Fatal(err)
	}
	ask[SiteUsage](q, ControlQuota, QuotaRequest{Site: "FL-LAB", Send: spool.Quota{Bytes: 9}})
	_, err = lab.OpenUpload(t.Context(), second)
	expectOver(t, err, spool.OverQuota{Scope: spool.ScopeSite, Name: "FL-LAB",
		Limit: spool.LimitBytes, Allowed: 9, Needed: second.Size})
}

// A removal frees uploads, reservations and content at once. The next start finishes one that was
// cut short.
func TestRemovalFreesEverything(t *testing.T) {
	t.Run("at once", func(t *testing.T) { testRemovalFrees(t, nil) })
	t.Run("cut short", func(t *testing.T) {
		testRemovalFrees(t, func(s Store) Store { return killStore{s} })
	})
}

// testRemovalFrees removes a site. A wrapper cuts the removal short.
func testRemovalFrees(t *testing.T, wrap func(Store) Store) {
	q := newHeadquarters(t)
	cut := wrap != nil
	if cut {
		q.wrap = wrap
	}
	q.start()
	t.Cleanup(q.stop)
	lab := q.lab("FL-LAB")
	q.centre("CA-RC", "#")
	sent := lab.send(key("fl-lab.dat"), "x")
	part := make([]byte, spool.PartSize)
	sum := checksums(part)[0]
	up := api.UploadRequest{Envelope: id.Random128[id.Envelope](), Size: 5 * spool.PartSize}
	if _, err := lab.OpenUpload(t.Context(), up); err != nil {
		t.Fatal(err)
	}
	if err := lab.PutPart(t.Context(), up.Envelope, 0, sum, bytes.NewReader(part),
		spool.PartSize); err != nil {
		t.Fatal(err)
	}
	used := func() spool.Usage { return ask[UsageAnswer](q, ControlUsage, Nothing{}).Hub.Used }
	want := spool.Usage{Bytes: 1, Reserved: up.Size, Uploads: 1, Envelopes: 1, Messages: 1}
	if got := used(); got != want {
		t.Errorf("before the removal %+v are used", got)
	}
	got, err := tryAsk[Removed](q, ControlRemove, RemoveRequest{Site: "FL-LAB"})
	if cut != (err != nil) || !cut && (got.Sent != 1 || got.Uploads != 1) {
		t.Fatalf("removed: %+v, %v", got, err)
	}
	if cut {
		q.wrap = func(s Store) Store { return s }
		q.restart()
	}
	for range 2 {
		if got := used(); got != (spool.Usage{}) {
			t.Errorf("after the removal %+v are used", got)
		}
		known, err := q.store.Known(t.Context(), "FL-LAB", []id.Envelope{sent.Envelope})
		if err != nil || known[0].Results[0].DeadCode != deadSenderRemoved {
			t.Errorf("its envelope is %+v, %v", known, err)
		}
		q.restart()
	}
}

// A removal can let the envelopes of the site arrive. They count until then.
func TestARemovalKeepsWhatWasSent(t *testing.T) {
	q := openHeadquarters(t)
	lab, ca := q.lab("FL-LAB"), q.centre("CA-RC", "#")
	lab.send(key("fl-lab.dat"), "x")
	lab.send(key("fl-lab.dat"), "x")
	got := ask[Removed](q, ControlRemove, RemoveRequest{Site: "FL-LAB", KeepSent: true})
	if !got.Changed || got.Sent != 0 {
		t.Errorf("removed: %+v", got)
	}
	q.restart()
	ca.settle(ca.take())
	got = ask[Removed](q, ControlRemove, RemoveRequest{Site: "FL-LAB"})
	if got.Changed || got.Sent != 1 {
		t.Errorf("removed again: %+v", got)
	}
	if used := ask[UsageAnswer](q, ControlUsage, Nothing{}).Hub.Used; used != (spool.Usage{}) {
		t.Errorf("%+v are used", used)
	}
}

// A call that was authorised before its site was removed publishes nothing and opens no upload.
func TestACallOfARemovedSite(t *testing.T) {
	q := openHeadquarters(t)
	q.lab("FL-LAB")
	c := &call{hub: q.hub, caller: q.hub.dir.view().sites["FL-LAB"]}
	if err := c.stillAdmitted(q.hub.dir.view()); err != nil {
		t.Error(err)
	}
	ask[Removed](q, ControlRemove, RemoveRequest{Site: "FL-LAB"})
	err := c.stillAdmitted(q.hub.dir.view())
	wantCode(t, err, api.CodeRemoved)
	_, err = c.commit(api.PublishRequest{}, nil)
	wantCode(t, err, api.CodeRemoved)
	err = c.openUpload(api.UploadRequest{Envelope: id.Random128[id.Envelope](),
		Size: spool.SmallSize + 1})
	wantCode(t, err, api.CodeRemoved)
	q.join("FL-LAB", config.RoleSend)
	wantCode(t, c.stillAdmitted(q.hub.dir.view()), api.CodeOtherKey)
}
