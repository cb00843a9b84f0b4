package agent_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sealpost/agent"
	"sealpost/certs"
	"sealpost/config"
	"sealpost/hub"
	"sealpost/internal/control"
	"sealpost/internal/id"
	"sealpost/internal/testkit"
	"sealpost/spool/badgerspool"
)

func TestMain(m *testing.M) {
	// Those that run at the same time wait more than they work.
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// patience is testkit's, for a story's own limits.
const patience = testkit.Patience

// The words of every story.
var (
	must       = testkit.Must
	eventually = testkit.Eventually
)

// world is a hub and its sites in one process, on real disks and real TLS.
type world struct {
	t    *testing.T
	dir  string
	addr string
	hub  *running
	now  func() time.Time // of everybody; nil: the real one
}

// running is a daemon that a story starts and stops.
type running struct {
	stop context.CancelFunc
	done chan error
}

func start(run func(context.Context) error) *running {
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{stop: cancel, done: make(chan error, 1)}
	go func() { r.done <- run(ctx) }()
	return r
}

func (r *running) end(t *testing.T) error {
	t.Helper()
	r.stop()
	select {
	case err := <-r.done:
		return err
	case <-time.After(patience):
		t.Fatal("it does not stop")
		return nil
	}
}

func newWorld(t *testing.T) *world { t.Helper(); return newWorldAt(t, nil) }

// newWorldAt is a world where it is another time.
func newWorldAt(t *testing.T, now func() time.Time) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), addr: testkit.FreeAddress(t), now: now}
	w.initHub()
	w.startHub()
	t.Cleanup(func() {
		if w.hub != nil {
			w.stopHub()
		}
	})
	return w
}

func (w *world) hubDir() string { return filepath.Join(w.dir, "DC-HQ") }

func (w *world) initHub() {
	w.t.Helper()
	_, err := hub.Init(hub.InitOptions{Dir: w.hubDir(), Name: "DC-HQ", Hosts: []string{"127.0.0.1"}, Listen: w.addr, RootDir: filepath.Join(w.dir, "root")})
	must(w.t, err)
}

func (w *world) log(name string) *slog.Logger {
	level := slog.LevelWarn
	if testing.Verbose() {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(testWriter{w.t, name}, &slog.HandlerOptions{Level: level}))
}

type testWriter struct {
	t    *testing.T
	name string
}

func (l testWriter) Write(p []byte) (int, error) {
	l.t.Logf("%s: %s", l.name, bytes.TrimSpace(p))
	return len(p), nil
}

func (w *world) startHub() {
	w.t.Helper()
	cfg, err := config.LoadHub(filepath.Join(w.hubDir(), "hub.toml"))
	must(w.t, err)
	store, err := badgerspool.Open(filepath.Join(cfg.State, "spool"), badgerspool.Options{Log: w.log("spool"), Now: w.now})
	must(w.t, err)
	h, err := hub.New(hub.Options{Config: cfg, Spool: store, Log: w.log("hub"), Grace: time.Second, Now: w.now})
	must(w.t, err)
	w.hub = start(func(ctx context.Context) error { return errors.Join(h.Run(ctx), store.Close()) })
}

func (w *world) stopHub() {
	w.t.Helper()
	must(w.t, w.hub.end(w.t))
	w.hub = nil
}

// admin calls one of the hub's control operations.
func (w *world) admin(path string, in, out any) {
	w.t.Helper()
	must(w.t, control.Dial(filepath.Join(w.hubDir(), "state")).Call(context.Background(), path, in, out))
}

func (w *world) invite(site, role string) certs.Invitation {
	w.t.Helper()
	var i hub.Invited
	w.admin(hub.ControlInvite, hub.InviteRequest{Site: id.Site(site), Role: role}, &i)
	return certs.Invitation{Site: i.Site, Role: i.Role, Hub: i.Hub, Network: i.Network, Suite: i.Suite, Secret: i.Secret, Expires: i.Expires}
}

func (w *world) admit(site, role string, fingerprint id.Hash) {
	w.t.Helper()
	w.admin(hub.ControlAdmit, hub.AdmitRequest{Site: id.Site(site), Role: role, Fingerprint: fingerprint}, nil)
}

func (w *world) bind(queue string, keys ...string) {
	w.t.Helper()
	w.admin(hub.ControlBind, hub.BindRequest{Queue: queue, Keys: keys}, nil)
}

// site is one agent and its folder.
type site struct {
	w      *world
	name   id.Site
	role   string
	dir    string
	daemon *running
	now    func() time.Time // nil: the world's
}

func (w *world) join(name, role string, approve ...string) *site {
	w.t.Helper()
	s := &site{w: w, name: id.Site(name), role: role, dir: filepath.Join(w.dir, name)}
	_, err := agent.Join(context.Background(), agent.JoinOptions{Invitation: w.invite(name, role), Dir: s.dir, Approve: approve, Version: "test", Log: w.log(name), Now: w.now})
	must(w.t, err)
	if s.role == "receive" {
		s.set("reserve", `"0B"`)
	} else {
		s.set("settle", `"0s"`)
		s.set("sweep", `"500ms"`)
		s.set("folder_settle", `"0s"`)
	}
	s.start()
	w.t.Cleanup(func() {
		if s.daemon != nil {
			s.stop()
		}
	})
	return s
}

// set changes one key of agent.toml.
func (s *site) set(key, value string) {
	s.w.t.Helper()
	path := filepath.Join(s.dir, "agent.toml")
	text, err := os.ReadFile(path)
	must(s.w.t, err)
	line := regexp.MustCompile(`(?m)^` + key + ` = .*$`)
	if !line.Match(text) {
		s.w.t.Fatalf("agent.toml has no %s", key)
	}
	must(s.w.t, os.WriteFile(path, line.ReplaceAll(text, []byte(key+" = "+value)), 0o600))
}

func (s *site) start() {
	s.w.t.Helper()
	cfg, err := config.LoadAgent(config.AgentFile(s.dir))
	must(s.w.t, err)
	now := s.w.now
	if s.now != nil {
		now = s.now
	}
	a, err := agent.New(agent.Options{Config: cfg, Dir: s.dir, Version: "test", Log: s.w.log(string(s.name)), Now: now})
	must(s.w.t, err)
	s.daemon = start(a.Run)
}

func (s *site) stop() {
	s.w.t.Helper()
	must(s.w.t, s.daemon.end(s.w.t))
	s.daemon = nil
}

func (s *site) drop(name string, content []byte) {
	s.w.t.Helper()
	must(s.w.t, os.WriteFile(filepath.Join(s.dir, "outbox", name), content, 0o644))
}

func (s *site) call(path string, in, out any) error {
	return control.Dial(filepath.Join(s.dir, "state")).Call(context.Background(), path, in, out)
}

func (s *site) status() (st agent.Status) {
	s.w.t.Helper()
	must(s.w.t, s.call(agent.PathStatus, agent.StatusRequest{Latest: 100}, &st))
	return st
}

// expect waits until the file is in the inbox with this content.
func (s *site) expect(from, name string, content []byte) {
	s.w.t.Helper()
	path := filepath.Join(s.dir, "inbox", from, name)
	var got []byte
	eventually(s.w.t, string(s.name)+" has "+name, func() bool {
		var err error
		got, err = os.ReadFile(path)
		return err == nil
	})
	if !bytes.Equal(got, content) {
		s.w.t.Fatalf("%s holds %d bytes, want %d", path, len(got), len(content))
	}
}

// inInbox lists what people see in the inbox.
func (s *site) inInbox() (list []string) {
	s.w.t.Helper()
	base := filepath.Join(s.dir, "inbox")
	err := filepath.WalkDir(base, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.Name() == ".sealpost" {
			return fs.SkipDir
		}
		if !e.IsDir() {
			rel, _ := filepath.Rel(base, path)
			list = append(list, rel)
		}
		return nil
	})
	must(s.w.t, err)
	return list
}

// tray lists the files in one folder of the tray, relative to it.
func (s *site) tray(folder string) (list []string) {
	s.w.t.Helper()
	matches, err := filepath.Glob(filepath.Join(s.dir, folder, "*", "*"))
	must(s.w.t, err)
	for _, m := range matches {
		list = append(list, filepath.Base(m))
	}
	return list
}
