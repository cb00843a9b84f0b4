package hub

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"sealpost/config"
)

// reloads lets a hub read its hub.toml again, and returns the configurations that it applies.
func (q *headquarters) reloads() *[]config.Hub {
	applied := &[]config.Hub{}
	q.settings = Settings{
		Load:  func() (config.Hub, error) { return config.LoadHub(config.HubFile(q.dir)) },
		Apply: func(c config.Hub) { *applied = append(*applied, c) },
	}
	return applied
}

// edit replaces a text in hub.toml.
func (q *headquarters) edit(before, after string) {
	q.t.Helper()
	path := config.HubFile(q.dir)
	text, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(text), before) {
		q.t.Fatalf("hub.toml has no %s, %v", before, err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), before, after, 1)),
		0o600); err != nil {
		q.t.Fatal(err)
	}
}

func (q *headquarters) expectReload(changed, restart []string) {
	q.t.Helper()
	got := ask[Reloaded](q, ControlReload, Nothing{})
	if !slices.Equal(got.Changed, changed) || !slices.Equal(got.Restart, restart) {
		q.t.Errorf("reloaded %+v, want %v and %v", got, changed, restart)
	}
}

func TestReload(t *testing.T) {
	q := newHeadquarters(t)
	applied := q.reloads()
	q.start()
	t.Cleanup(q.stop)
	lab := q.lab("FL-LAB")
	q.expectReload(nil, nil)

	q.edit(`log_level = "info"`, `log_level = "debug"`)
	q.edit(`hosts = ["127.0.0.1"]`, `hosts = ["127.0.0.1", "hub.example.org"]`)
	q.edit(`memory = "96MiB"`, `memory = "128MiB"`)
	q.edit(`metrics = ""`, `metrics = "127.0.0.1:1"`)
	q.edit(`site_uploads = 0`, `site_uploads = 3`)
	q.expectReload([]string{"hosts", "limits.memory", "log_level", "quota.site_uploads"},
		[]string{"metrics"})
	for _, s := range ask[UsageAnswer](q, ControlUsage, Nothing{}).Sites {
		if s.Send.Allowed.Uploads != 3 {
			t.Errorf("the uploads of %s are limited to %d", s.Site, s.Send.Allowed.Uploads)
		}
	}
	q.expectReload(nil, []string{"metrics"}) // until the restart
	last := (*applied)[len(*applied)-1]
	if last.LogLevel != "debug" || last.Limits.Memory != 128<<20 {
		t.Errorf("applied %+v", last)
	}
	if names := q.hub.identity.Chain()[0].DNSNames; !slices.Equal(names,
		[]string{"hub.example.org"}) {
		t.Errorf("the certificate names %v", names)
	}
	if hosts := ask[Invited](q, ControlInvite, InviteRequest{Site: "PA-LAB",
		Role: "send"}).Hub; len(hosts) != 2 || !strings.HasPrefix(hosts[1], "hub.example.org:") {
		t.Errorf("an invitation names %v", hosts)
	}
	lab.CloseIdle()
	if _, err := lab.Hello(t.Context()); err != nil {
		t.Errorf("a site after it: %v", err)
	}
	// a renewal keeps the new hosts
	q.clock.forward(61 * 24 * 3600 * 1e9)
	if err := q.hub.renewSelf(); err != nil ||
		len(q.hub.identity.Chain()[0].DNSNames) != 1 {
		t.Errorf("renewed for %v, %v", q.hub.identity.Chain()[0].DNSNames, err)
	}
}

// A file with a fault changes nothing.
func TestAReloadThatIsRefused(t *testing.T) {
	q := newHeadquarters(t)
	applied := q.reloads()
	q.start()
	t.Cleanup(q.stop)
	before := q.hub.identity.Chain()[0]
	good := contents(t, []string{config.HubFile(q.dir)})
	for _, c := range []struct{ before, after, says string }{
		{`log_level = "info"`, `log_level = "loud"`, "log_level"},
		{`log_level = "info"`, `log_levle = "debug"`, "did you mean log_level"},
		{`suite = "hybrid"`, `suite = "x25519"`, `was made with "hybrid"`},
		{`"127.0.0.1"]`, `"` + strings.Repeat("a", 70) + `.example.org"]`, "host"},
	} {
		q.edit(c.before, c.after)
		q.edit(`memory = "96MiB"`, `memory = "128MiB"`)
		_, err := tryAsk[Reloaded](q, ControlReload, Nothing{})
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: it says %v", c.after, err)
		}
		if err := os.WriteFile(config.HubFile(q.dir), []byte(good), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if len(*applied) > 0 || !q.hub.identity.Chain()[0].Equal(before) {
		t.Errorf("applied %v", *applied)
	}
	q.expectReload(nil, nil)
}

// A certificate that cannot be written leaves the old hosts in effect.
func TestAReloadWithoutACertificate(t *testing.T) {
	q := newHeadquarters(t)
	q.reloads()
	q.start()
	t.Cleanup(q.stop)
	q.edit(`"127.0.0.1"]`, `"127.0.0.1", "hub.example.org"]`)
	chain := filepath.Join(q.config.State, chainFile)
	if err := errors.Join(os.Remove(chain), os.MkdirAll(filepath.Join(chain, "x"),
		0o700)); err != nil {
		t.Fatal(err)
	}
	_, err := tryAsk[Reloaded](q, ControlReload, Nothing{})
	if err == nil || len(q.hub.hosts()) != 1 || len(q.hub.identity.Chain()[0].DNSNames) != 0 {
		t.Errorf("it says %v, and has %v", err, q.hub.hosts())
	}
	if err := os.RemoveAll(chain); err != nil {
		t.Fatal(err)
	}
	q.expectReload([]string{"hosts"}, nil)
}

// Reloads, exports and renewals at the same time.
func TestReloadsAtTheSameTime(t *testing.T) {
	q := newHeadquarters(t)
	q.reloads()
	q.start()
	t.Cleanup(q.stop)
	q.edit(`"127.0.0.1"]`, `"127.0.0.1", "hub.example.org"]`)
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for range 5 {
				_, bad := tryAsk[Reloaded](q, ControlReload, Nothing{})
				_, worse := tryAsk[Exported](q, ControlExport, Nothing{})
				if err := errors.Join(bad, worse); err != nil {
					t.Error(err)
				}
				q.hub.renewInTime()
			}
		})
	}
	wait.Wait()
	if len(q.hub.hosts()) != 2 || len(q.hub.identity.Chain()[0].DNSNames) != 1 {
		t.Errorf("it has %v", q.hub.hosts())
	}
}
