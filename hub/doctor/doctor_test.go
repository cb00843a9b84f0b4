package doctor

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sealpost/config"
	"sealpost/hub"
	"sealpost/hub/api"
	"sealpost/internal/control"
	"sealpost/internal/finding"
	"sealpost/internal/id"
	"sealpost/internal/testkit"
	"sealpost/spool"
	"sealpost/spool/badgerspool"
)

var must = testkit.Must

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/golang/glog.(*fileSink).flushDaemon"))
}

// headquarters is a hub that was set up and does not run.
func headquarters(t *testing.T) Options {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "DC-HQ")
	_, err := hub.Init(hub.InitOptions{Dir: dir, Name: "DC-HQ", Hosts: []string{"127.0.0.1"},
		Listen: testkit.FreeAddress(t)})
	must(t, err)
	return load(t, dir)
}

func load(t *testing.T, dir string) Options {
	t.Helper()
	c, err := config.LoadHub(config.HubFile(dir))
	must(t, err)
	c.Spool.Reserve, c.Spool.Floor = 2, 1
	return Options{Config: c, Dir: dir}
}

// findings returns the findings of an examination by their checks.
func findings(t *testing.T, examine Examination, o Options) map[string]finding.Finding {
	t.Helper()
	all := map[string]finding.Finding{}
	examine(t.Context(), o, func(f finding.Finding) {
		if f.Says.IsZero() || f.Level != finding.OK && f.Do.IsZero() {
			t.Errorf("%s says %q and has the remedy %q", f.Check, f.Says, f.Do)
		}
		all[f.Check.String()] = f
	})
	return all
}

// start starts a hub, which ends with the test.
func start(t *testing.T, o Options) {
	t.Helper()
	store, err := badgerspool.Open(filepath.Join(o.Config.State, "spool"), badgerspool.Options{})
	must(t, err)
	h, err := hub.New(hub.Options{Config: o.Config, Spool: store, Grace: time.Second,
		Log: slog.New(slog.DiscardHandler), Version: "test"})
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		must(t, errors.Join(<-ended, store.Close()))
	})
}

func onLinux(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: a hub runs on Linux only")
	}
}

// A new hub that does not run passes the check.
func TestAHubThatDoesNotRun(t *testing.T) {
	onLinux(t)
	o := headquarters(t)
	for check, f := range findings(t, Check, o) {
		if f.Level != finding.OK {
			t.Errorf("%s: %s %s", check, f.Level, f.Says)
		}
	}
	all := findings(t, Examine, o)
	if f := all["hub"]; f.Level != finding.Fail || !strings.Contains(f.Do.String(), "hub run") {
		t.Errorf("the hub: %+v", f)
	}
	if f := all["root"]; f.Level != finding.Warn {
		t.Errorf("the root: %+v", f)
	}
	must(t, os.RemoveAll(o.Dir+"-root"))
	if f := findings(t, Examine, o)["root"]; f.Level != finding.OK {
		t.Errorf("the root was taken away: %+v", f)
	}
}

func TestAHubThatRuns(t *testing.T) {
	onLinux(t)
	o := headquarters(t)
	o.Config.Metrics = testkit.FreeAddress(t)
	start(t, o)
	all := findings(t, Examine, o)
	for _, check := range []string{"issuing authority", "certificate", "suite", "hosts", "hub",
		"listen " + o.Config.Listen, "metrics " + o.Config.Metrics, "hub " + o.Config.Listen,
		"permissions", "space", "queues", "sites", "log", "export"} {
		if f, found := all[check]; !found || f.Level != finding.OK {
			t.Errorf("%s: %+v", check, f)
		}
	}
	if says := all["listen "+o.Config.Listen].Says.String(); !strings.Contains(says, "running") {
		t.Errorf("its own address: %s", says)
	}
	moved := o
	moved.Config.Listen = testkit.FreeAddress(t)
	says := findings(t, Check, moved)["listen "+moved.Config.Listen].Says.String()
	if !strings.Contains(says, "after its next start") {
		t.Errorf("another address: %s", says)
	}
}

// A site that has reached one of its limits is reported.
func TestAReachedQuota(t *testing.T) {
	onLinux(t)
	o := headquarters(t)
	o.Config.Quota.SiteMetadata = 1 // less than an envelope
	start(t, o)
	must(t, control.Dial(o.Config.State).Call(t.Context(), hub.ControlInvite,
		hub.InviteRequest{Site: "FL-LAB", Role: config.RoleSend}, nil))
	all := findings(t, Examine, o)
	if f := all["quota of FL-LAB"]; f.Level != finding.Warn ||
		!strings.Contains(f.Says.String(), "until midnight") {
		t.Errorf("its quota: %+v", f)
	}
	if f, found := all["quota of the whole hub"]; found {
		t.Errorf("the hub's quota: %+v", f)
	}
}

// Each fault has its level and its words.
func TestFaults(t *testing.T) {
	onLinux(t)
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer busy.Close()
	for name, c := range map[string]struct {
		spoil func(t *testing.T, o *Options)
		check string
		level finding.Level
		says  string
	}{
		"an address in use": {
			func(_ *testing.T, o *Options) { o.Config.Listen = busy.Addr().String() },
			"listen " + busy.Addr().String(), finding.Fail, "another program listens there"},
		"an address of another computer": {
			func(_ *testing.T, o *Options) { o.Config.Listen = "192.0.2.1:7443" },
			"listen 192.0.2.1:7443", finding.Fail, "assign"},
		"metrics on the same address": {
			func(_ *testing.T, o *Options) { o.Config.Metrics = busy.Addr().String() },
			"metrics " + busy.Addr().String(), finding.Fail, "another program"},
		"an edited suite": {func(_ *testing.T, o *Options) { o.Config.Suite = config.SuiteX25519 },
			"suite", finding.Fail, `was made with "hybrid"`},
		"a host that was removed": {
			func(_ *testing.T, o *Options) { o.Config.Hosts = []string{"hub.example.org"} },
			"hosts", finding.Warn, "no site reaches the hub under 127.0.0.1"},
		"no authority": {func(t *testing.T, o *Options) {
			must(t, os.Remove(filepath.Join(o.Config.State, "issuing.pem")))
		}, "issuing authority", finding.Fail, "issuing.pem"},
		"a lost key of the authority": {func(t *testing.T, o *Options) {
			must(t, os.Remove(filepath.Join(o.Config.State, "issuing.key")))
		}, "issuing authority", finding.Fail, "bring the key back"},
		"a lost key of the hub": {func(t *testing.T, o *Options) {
			must(t, os.Remove(filepath.Join(o.Config.State, "hub.key")))
		}, "certificate", finding.Fail, "hub.key is missing"},
		"a lost certificate": {func(t *testing.T, o *Options) {
			must(t, os.Remove(filepath.Join(o.Config.State, "chain.pem")))
		}, "certificate", finding.Warn, "no certificate yet"},
		"an open key": {func(t *testing.T, o *Options) {
			must(t, os.Chmod(filepath.Join(o.Config.State, "hub.key"), 0o644))
		}, "permissions of state/hub.key", finding.Fail, "does not start with it"},
		"an open folder": {func(t *testing.T, o *Options) {
			must(t, os.Chmod(o.Config.State, 0o755))
		},
			"permissions of state", finding.Warn, "mode 0755"},
		"an open spool": {func(t *testing.T, o *Options) {
			must(t, os.Mkdir(filepath.Join(o.Config.State, "spool"), 0o755))
		}, "permissions of state/spool", finding.Warn, "mode 0755"},
		"a hub.toml that others write": {func(t *testing.T, o *Options) {
			must(t, os.Chmod(config.HubFile(o.Dir), 0o666))
		}, "hub.toml", finding.Fail, "other accounts may write"},
		"no state folder": {func(t *testing.T, o *Options) {
			must(t, os.RemoveAll(o.Config.State))
		},
			"space", finding.Fail, "no such file"},
		"a small disk": {func(_ *testing.T, o *Options) { o.Config.Spool.Reserve = 1 << 60 },
			"space", finding.Fail, "must stay free"},
	} {
		t.Run(name, func(t *testing.T) {
			o := headquarters(t)
			c.spoil(t, &o)
			f, found := findings(t, Check, o)[c.check]
			if !found || f.Level != c.level || !strings.Contains(f.Says.String(), c.says) {
				t.Errorf("found %v: %s %s", found, f.Level, f.Says)
			}
		})
	}
}

// The check makes no key in the place of a lost one, and no other file.
func TestTheDoctorMakesNothing(t *testing.T) {
	onLinux(t)
	o := headquarters(t)
	for _, name := range []string{"hub.key", "chain.pem", "issuing.key", "issuing.pem", "suite",
		"root.folder"} {
		must(t, os.Remove(filepath.Join(o.Config.State, name)))
	}
	findings(t, Examine, o)
	left, err := os.ReadDir(o.Config.State)
	must(t, err)
	if len(left) != 1 || left[0].Name() != "root.pem" {
		t.Errorf("there is %v", left)
	}
}

// Queues and sites are reported after a day.
func TestLateQueuesAndSites(t *testing.T) {
	ago := func(d time.Duration) time.Time { return time.Now().Add(-d) }
	queueOf := func(waiting int64, oldest time.Time) hub.QueueStatus {
		return hub.QueueStatus{QueueInfo: spool.QueueInfo{Name: "ca_rc_queue", Waiting: waiting,
			Oldest: oldest}, Site: "CA-RC"}
	}
	for _, c := range []struct {
		q         hub.QueueStatus
		isOverdue bool
	}{
		{queueOf(0, time.Time{}), false}, {queueOf(3, ago(time.Hour)), false},
		{queueOf(3, ago(25*time.Hour)), true},
	} {
		if f, isOverdue := overdue(c.q); isOverdue != c.isOverdue || isOverdue &&
			!strings.Contains(f.Says.String(), "3 deliveries wait") {
			t.Errorf("%+v is late: %v, %s", c.q, isOverdue, f.Says)
		}
	}
	for name, c := range map[string]struct {
		site hub.SiteStatus
		says string
	}{
		"connected":     {hub.SiteStatus{Connections: 1}, ""},
		"seen today":    {hub.SiteStatus{LastSeen: ago(time.Hour)}, ""},
		"seen long ago": {hub.SiteStatus{LastSeen: ago(48 * time.Hour)}, "was not seen since"},
		"never seen":    {hub.SiteStatus{}, "was not seen since"},
		"twice":         {hub.SiteStatus{Connections: 2, Copies: []string{"a", "b"}}, "a, b"},
		"held": {hub.SiteStatus{Connections: 1, Hold: &api.Hold{Because: "repair"}},
			"is on hold since"},
		"another role": {hub.SiteStatus{Connections: 1, Role: "send", RunsAs: "both"},
			"runs as both"},
	} {
		p := &subject{status: hub.Status{Started: ago(72 * time.Hour)}}
		var says []string
		p.site(c.site, func(f finding.Finding) { says = append(says, f.Says.String()) })
		if got := strings.Join(says, "; "); (got == "") != (c.says == "") ||
			!strings.Contains(got, c.says) {
			t.Errorf("%s: it says %q", name, got)
		}
	}
	p := &subject{status: hub.Status{Started: ago(time.Minute)}}
	p.site(hub.SiteStatus{}, func(f finding.Finding) {
		t.Errorf("a minute after the start: %s", f.Says)
	})
}

func TestSitesWithOneKey(t *testing.T) {
	a, b := id.Hash(strings.Repeat("a", 64)), id.Hash(strings.Repeat("b", 64))
	joined := func(name id.Site, key, recipient id.Hash) hub.SiteStatus {
		return hub.SiteStatus{Site: name, State: hub.SiteJoined, Fingerprint: key,
			KeyHash: recipient}
	}
	removed := joined("NY-RC", a, b)
	removed.State = hub.SiteRemoved
	var found []string
	sharedKeys([]hub.SiteStatus{joined("CA-RC", a, b), removed, joined("FL-LAB", b, ""),
		joined("PA-LAB", a, ""), joined("SF-RC", "", b)},
		func(f finding.Finding) { found = append(found, f.Says.String()) })
	if len(found) != 2 ||
		!strings.HasPrefix(found[0], "CA-RC and PA-LAB have one identity key (aaaa") ||
		!strings.HasPrefix(found[1], "CA-RC and SF-RC have one recipient key (bbbb") {
		t.Errorf("found %q", found)
	}
}

func TestLogLevels(t *testing.T) {
	for level, want := range map[string]finding.Level{"debug": finding.Warn, "info": finding.OK,
		"warn": finding.OK, "error": finding.Warn} {
		p := &subject{Options: Options{Config: config.Hub{LogLevel: level}}}
		logs(t.Context(), p, func(f finding.Finding) {
			if f.Level != want {
				t.Errorf("%s: %s", level, f.Level)
			}
		})
	}
}
