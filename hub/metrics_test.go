package hub

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"sealpost/hub/api"
	"sealpost/spool"
)

func TestMetrics(t *testing.T) {
	q := openWatched(t)
	lab, ca := q.lab("FL-LAB"), q.centre("CA-RC", "#")
	wantCode(t, q.stranger("PA-LAB").enroll("guess"), api.CodeInvitation)
	for range 3 {
		lab.send(key("fl-lab.dat"), "0123456789")
	}
	ca.settle(ca.take())
	d := ca.take()
	if err := ca.Release(t.Context(), api.ReleaseRequest{Token: d.Token, Code: api.ReleaseFull,
		Delay: time.Hour}); err != nil {
		t.Fatal(err)
	}
	_, err := lab.Resolve(t.Context(), key("pa-lab.dat"))
	wantCode(t, err, api.CodeNotAllowed)
	status, text := q.look("/metrics")
	for _, line := range []string{
		`sealpost_requests_total{code="",endpoint="POST /v1/envelopes"} 3`,
		`sealpost_requests_total{code="not-allowed",endpoint="POST /v1/resolve"} 1`,
		`sealpost_request_seconds_count{endpoint="POST /v1/envelopes"} 3`,
		`sealpost_ciphertext_bytes_total{direction="in"} 30`,
		`sealpost_ciphertext_bytes_total{direction="out"} 20`,
		`sealpost_published_envelopes_total 3`,
		`sealpost_published_messages_total 3`,
		`sealpost_settled_messages_total{code="",outcome="delivered"} 1`,
		`sealpost_released_deliveries_total{code="disk-full"} 1`,
		`sealpost_identities_total{event="certificate-issued"} 2`,
		`sealpost_identities_total{event="invitation-refused"} 1`,
		`sealpost_queue_waiting{queue="ca_rc_queue"} 2`,
		`sealpost_queue_released{queue="ca_rc_queue"} 1`,
		`sealpost_queue_settled_total{queue="ca_rc_queue"} 1`,
		`sealpost_queue_dead_total{queue="ca_rc_queue"} 0`,
		`sealpost_sites{state="joined"} 2`,
		`sealpost_start_timestamp_seconds{version="test"}`,
		`sealpost_certificate_expires_timestamp_seconds{certificate="hub"}`,
		`sealpost_disk_free_bytes`,
	} {
		if !strings.Contains(text, "\n"+line) {
			t.Errorf("status %d without %s", status, line)
		}
	}
	for _, secret := range []string{string(d.Envelope), string(d.Messages[0].UID),
		string(d.Messages[0].ID)} {
		if strings.Contains(text, secret) {
			t.Errorf("the metrics name %s", secret)
		}
	}
	if strings.Contains(text, `endpoint="POST /v1/lease"} `) &&
		strings.Contains(text, `sealpost_request_seconds_count{endpoint="POST /v1/lease"}`) {
		t.Error("waits are counted as slow answers")
	}
}

// openWatched is a hub that shows its metrics.
func openWatched(t *testing.T) *headquarters {
	t.Helper()
	q := newHeadquarters(t)
	q.config.Metrics = freeAddress(t)
	q.start()
	t.Cleanup(q.stop)
	return q
}

// look asks the monitoring.
func (q *headquarters) look(path string) (int, string) {
	q.t.Helper()
	transport := &http.Transport{DisableKeepAlives: true}
	req, err := http.NewRequestWithContext(q.t.Context(), http.MethodGet,
		"http://"+q.config.Metrics+path, nil)
	if err != nil {
		q.t.Fatal(err)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		q.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		q.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// Health looks at real things: each that fails shows.
func TestHealth(t *testing.T) {
	q := newHeadquarters(t)
	q.config.Metrics = freeAddress(t)
	sick := &sickStore{}
	q.wrap = func(s Store) Store { sick.Store = s; return sick }
	q.start()
	t.Cleanup(func() { q.cancel(); <-q.ended; q.store.Close() })
	expect := func(label string, healthy, ready int) {
		t.Helper()
		for path, want := range map[string]int{"/healthz": healthy, "/readyz": ready} {
			if status, text := q.look(path); status != want {
				t.Errorf("%s: %s answers %d %s, want %d", label, path, status, text, want)
			}
		}
	}
	expect("all is well", 200, 200)
	sick.fall(spool.ErrFull)
	expect("the disk is full", 200, 503)
	sick.fall(spool.ErrUncertain)
	expect("the spool fails", 503, 503)
	sick.fall(nil)
	q.clock.forward(100 * 24 * time.Hour)
	expect("the certificate has ended", 200, 503)
	if err := q.hub.renewSelf(); err != nil {
		t.Fatal(err)
	}
	expect("it was renewed", 200, 200)
	q.hub.links.cut("")
	if err := q.hub.listener.Close(); err != nil {
		t.Fatal(err)
	}
	<-q.hub.stopping.Done() // a hub that cannot listen ends
	if err := q.hub.ready(t.Context()); err == nil {
		t.Error("without its listener the hub is ready")
	}
}

// sickStore is a store whose disk is full, or that fails.
type sickStore struct {
	Store

	mu  sync.Mutex // guards err: the hub looks at its disk at any time
	err error
}

// fall changes the error of the store; spool.ErrFull is a full disk, and nil a healthy store.
func (s *sickStore) fall(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *sickStore) Info(ctx context.Context) (spool.Info, error) {
	info, err := s.Store.Info(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case errors.Is(s.err, spool.ErrFull):
		info.Reserve = info.DiskFree + 1
	case s.err != nil:
		err = s.err
	}
	return info, err
}

// The alert rules name metrics that there are, and Prometheus understands them.
func TestAlertRules(t *testing.T) {
	rules, err := os.ReadFile("../docs/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	q := openWatched(t)
	lab, ca := q.lab("FL-LAB"), q.centre("CA-RC", "#")
	wantCode(t, q.stranger("PA-LAB").enroll("guess"), api.CodeInvitation)
	lab.send(key("fl-lab.dat"), "x")
	lab.send(key("fl-lab.dat"), "x")
	ca.settle(ca.take())
	if err := ca.Release(t.Context(), api.ReleaseRequest{Token: ca.take().Token,
		Code: api.ReleaseFull}); err != nil {
		t.Fatal(err)
	}
	_, text := q.look("/metrics")
	for _, name := range regexp.MustCompile(`sealpost_[a-z_]+`).FindAllString(string(rules), -1) {
		if !strings.Contains(text, "\n"+name) {
			t.Errorf("no metric is called %s", name)
		}
	}
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("SKIPPED: promtool is not installed: the rules were neither parsed nor tried")
	}
	for _, args := range [][]string{{"check", "rules", "../docs/alerts.yaml"},
		{"test", "rules", "testdata/alerts_test.yaml"}} {
		if out, err := exec.CommandContext(t.Context(), promtool,
			args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", args[0], err, out)
		}
	}
}

// A failure shows as an increase, the first one too.
func TestFailuresBeginAtZero(t *testing.T) {
	_, text := openWatched(t).look("/metrics")
	for _, line := range []string{
		`sealpost_requests_total{code="internal",endpoint="POST /v1/envelopes"} 0`,
		`sealpost_requests_total{code="uncertain",endpoint="POST /v1/settle"} 0`,
		`sealpost_settled_messages_total{code="digest-mismatch",outcome="refused"} 0`,
		`sealpost_identities_total{event="invitation-refused"} 0`,
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("at the start there is no %s", line)
		}
	}
}
