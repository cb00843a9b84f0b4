package lyinghub

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sealpost/agent"
	"sealpost/agent/outbox"
	"sealpost/certs"
	"sealpost/config"
	"sealpost/hub"
	"sealpost/internal/control"
	"sealpost/internal/id"
	"sealpost/internal/testkit"
	"sealpost/spool/badgerspool"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/golang/glog.(*fileSink).flushDaemon"))
}

// The words of every story.
var (
	must       = testkit.Must
	eventually = testkit.Eventually
)

// world is a hub, the liar in front of it, and sites that know the liar only.
type world struct {
	t       *testing.T
	dir     string
	hubAddr string
	liar    *liar
}

// start runs a daemon until the test ends, or the returned function is called.
func start(t *testing.T, run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("a daemon ended with: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// newWorld lets the test run beside others: mostly it waits, as for what was handed back to come again.
func newWorld(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	w := &world{t: t, dir: t.TempDir(), hubAddr: testkit.FreeAddress(t)}
	_, err := hub.Init(hub.InitOptions{Dir: w.hubDir(), Name: "DC-HQ", Hosts: []string{"127.0.0.1"}, Listen: w.hubAddr})
	must(t, err)
	cfg, err := config.LoadHub(config.HubFile(w.hubDir()))
	must(t, err)
	store, err := badgerspool.Open(filepath.Join(cfg.State, "spool"), badgerspool.Options{Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	h, err := hub.New(hub.Options{Config: cfg, Spool: store, Log: slog.New(slog.DiscardHandler), Grace: time.Second})
	must(t, err)
	start(t, func(ctx context.Context) error { return errors.Join(h.Run(ctx), store.Close()) })
	w.liar = newLiar(w)
	return w
}

func (w *world) hubDir() string { return filepath.Join(w.dir, "DC-HQ") }

func (w *world) admin(path string, in, out any) {
	w.t.Helper()
	must(w.t, control.Dial(filepath.Join(w.hubDir(), "state")).Call(context.Background(), path, in, out))
}

// invite invites a site to the liar.
func (w *world) invite(site, role string) certs.Invitation {
	w.t.Helper()
	var i hub.Invited
	w.admin(hub.ControlInvite, hub.InviteRequest{Site: id.Site(site), Role: role}, &i)
	return certs.Invitation{Site: i.Site, Role: i.Role, Hub: []string{w.liar.addr}, Network: i.Network, Suite: i.Suite, Secret: i.Secret, Expires: i.Expires}
}

func (w *world) bind(site id.Site, keys ...string) {
	w.t.Helper()
	w.admin(hub.ControlBind, hub.BindRequest{Queue: site.Queue(), Keys: keys}, nil)
}

// site is one agent, its folder and its log.
type site struct {
	w    *world
	name id.Site
	dir  string
	log  testkit.Journal
	stop func()
}

func (w *world) join(name, role string, approve ...string) *site {
	w.t.Helper()
	s := &site{w: w, name: id.Site(name), dir: filepath.Join(w.dir, name)}
	_, err := agent.Join(context.Background(), agent.JoinOptions{Invitation: w.invite(name, role), Dir: s.dir, Approve: approve, Version: "test", Log: slog.New(slog.NewTextHandler(&s.log, nil))})
	must(w.t, err)
	s.start()
	w.t.Cleanup(func() {
		if w.t.Failed() {
			w.t.Logf("the log of %s:\n%s", name, s.log.String())
		}
	})
	return s
}

func (s *site) start() {
	s.w.t.Helper()
	cfg, err := config.LoadAgent(config.AgentFile(s.dir))
	must(s.w.t, err)
	cfg.Outbox.Settle, cfg.Inbox.Reserve = 0, 0
	a, err := agent.New(agent.Options{Config: cfg, Version: "test", Log: slog.New(slog.NewTextHandler(&s.log, nil))})
	must(s.w.t, err)
	s.stop = start(s.w.t, a.Run)
}

// newKey gives a site that has lost its recipient key another.
func (s *site) newKey() {
	s.w.t.Helper()
	cfg, err := config.LoadAgent(config.AgentFile(s.dir))
	must(s.w.t, err)
	_, err = agent.NewKey(cfg)
	must(s.w.t, err)
}

// network is a lab that sends to one centre, and another centre that nobody approved.
func network(t *testing.T) (w *world, lab, centre, other *site) {
	t.Helper()
	w = newWorld(t)
	centre, other = w.join("CA-RC", "receive"), w.join("SF-RC", "receive")
	w.bind("CA-RC", "fl-lab.*")
	return w, w.join("FL-LAB", "send", "CA-RC"), centre, other
}

// identity is the site's own, as only somebody in the site could have it.
func (s *site) identity() *certs.Identity {
	s.w.t.Helper()
	state := filepath.Join(s.dir, "state")
	i, err := certs.OpenIdentity(filepath.Join(state, "identity.key"), filepath.Join(state, "chain.pem"))
	must(s.w.t, err)
	return i
}

func (s *site) drop(name, content string) {
	s.w.t.Helper()
	must(s.w.t, os.WriteFile(filepath.Join(s.dir, "outbox", name), []byte(content), 0o644))
}

func (s *site) call(path string, in, out any) {
	s.w.t.Helper()
	must(s.w.t, control.Dial(filepath.Join(s.dir, "state")).Call(context.Background(), path, in, out))
}

func (s *site) status() (st agent.Status) {
	s.w.t.Helper()
	s.call(agent.PathStatus, agent.StatusRequest{Latest: 100}, &st)
	return st
}

// reconsider makes a lab ask again at once for what it waits for, as it would by itself after a while.
func (s *site) reconsider(approve ...string) {
	s.w.t.Helper()
	s.call(agent.PathApprove, agent.ApproveRequest{Sites: approve}, nil)
}

// waits waits until the lab says why nothing is sent, in these words.
func (s *site) waits(words ...string) {
	s.w.t.Helper()
	var why string
	eventually(s.w.t, "it waits: "+strings.Join(words, ", "), func() bool {
		why = s.status().Outbox.Blocked["fl-lab.dat"]
		return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(why, w) })
	})
}

// message is how the latest message of a lab stands.
func (s *site) message() outbox.Message {
	s.w.t.Helper()
	list := s.status().Outbox.Latest
	if len(list) == 0 {
		return outbox.Message{}
	}
	return list[0]
}

// has waits until the inbox holds exactly these files, given as path and content.
func (s *site) has(files ...string) {
	s.w.t.Helper()
	var got []string
	eventually(s.w.t, string(s.name)+" has "+strings.Join(files, ", "), func() bool { got = s.inbox(); return len(got) >= len(files) })
	slices.Sort(files)
	if !slices.Equal(got, files) {
		s.w.t.Fatalf("%s has %q, and should have %q", s.name, got, files)
	}
}

// inbox lists what people see in the inbox: "FL-LAB/data.csv: content", sorted.
func (s *site) inbox() (list []string) {
	s.w.t.Helper()
	base := filepath.Join(s.dir, "inbox")
	err := filepath.WalkDir(base, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Name() == ".sealpost" {
			return fs.SkipDir
		}
		if err != nil || e.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		rel, _ := filepath.Rel(base, path)
		list = append(list, filepath.ToSlash(rel)+": "+string(content[:min(len(content), 40)]))
		return err
	})
	must(s.w.t, err)
	slices.Sort(list)
	return list
}

// tray waits until a folder of the lab's tray holds exactly these files.
func (s *site) tray(folder string, names ...string) {
	s.w.t.Helper()
	eventually(s.w.t, strings.Join(names, ", ")+" in "+folder, func() bool {
		matches, err := filepath.Glob(filepath.Join(s.dir, folder, "*", "*"))
		must(s.w.t, err)
		var list []string
		for _, m := range matches {
			if name := filepath.Base(m); name != "WHY.txt" {
				list = append(list, name)
			}
		}
		slices.Sort(list)
		return slices.Equal(list, names)
	})
}

// why waits until a file of this name has failed, and returns the note beside it.
func (s *site) why(name string) (text string) {
	s.w.t.Helper()
	eventually(s.w.t, name+" has failed", func() bool {
		places, err := filepath.Glob(filepath.Join(s.dir, "failed", "*", name))
		must(s.w.t, err)
		if len(places) != 1 {
			return false
		}
		note, err := os.ReadFile(filepath.Join(filepath.Dir(places[0]), "WHY.txt"))
		text = string(note)
		return err == nil
	})
	return text
}

func random(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return string(b)
}

func issue(t testing.TB, authority *certs.Authority, site id.Site) *certs.Identity {
	t.Helper()
	dir := t.TempDir()
	i, err := certs.OpenIdentity(filepath.Join(dir, "identity.key"), filepath.Join(dir, "chain.pem"))
	must(t, err)
	csr, err := i.CSR()
	must(t, err)
	chain, err := authority.IssueSite(csr, site, time.Now())
	must(t, err)
	must(t, i.SetChain(chain, authority.Network(), time.Now()))
	return i
}
