// Package testnet runs a hub and its sites for tests, in this process or in processes of their own.
//
// One field chooses: without Options.Program every daemon is a goroutine of the test, with it a
// process of that program. The set-up and the stories are the same in both. Helpers fail at the
// caller's line.
package testnet

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"sealpost/agent"
	"sealpost/certs"
	"sealpost/config"
	"sealpost/hub"
	"sealpost/hub/console"
	"sealpost/internal/control"
	"sealpost/internal/id"
	"sealpost/internal/testkit"
	"sealpost/spool/badgerspool"
)

// Options choose how a network runs.
type Options struct {
	Program string           // of each daemon's process; empty: daemons run in this process
	Now     func() time.Time // the clock of daemons in this process; nil: the real one
	Root    string           // the folder of the root; empty: a new one
	Roster  string           // of hub.toml; empty: optional
}

// Network is a hub and its sites, on real disks and real TLS.
type Network struct {
	T    testing.TB
	Dir  string
	Addr string // of the hub
	Hub  *Hub
	opts Options
}

// New sets a network up with a hub that runs.
func New(t testing.TB, opts Options) *Network {
	t.Helper()
	n := &Network{T: t, Dir: t.TempDir(), Addr: testkit.FreeAddress(t), opts: opts}
	n.Hub = &Hub{net: n, Dir: filepath.Join(n.Dir, "DC-HQ")}
	n.Hub.Daemon = n.daemon("DC-HQ", "hub", n.Hub.Dir)
	n.Hub.serve = n.Hub.open
	n.Hub.Init()
	n.Hub.Start()
	return n
}

// Root returns the folder of the network's root.
func (n *Network) Root() string { return cmp.Or(n.opts.Root, filepath.Join(n.Dir, "root")) }

// daemon returns one that does not run yet.
func (n *Network) daemon(name, kind, dir string) *Daemon {
	var command []string
	if n.opts.Program != "" {
		command = []string{n.opts.Program, kind, "run", "--dir", dir}
	}
	return newDaemon(n.T, name, dir+".log", command...)
}

// Hub is the hub of a network.
type Hub struct {
	*Daemon
	Dir string
	net *Network
}

// Init sets the hub up, or up again under the same root. A small disk is enough for it.
func (h *Hub) Init() {
	h.T.Helper()
	_, err := hub.Init(hub.InitOptions{
		Dir: h.Dir, Name: "DC-HQ", Hosts: []string{"127.0.0.1"}, Listen: h.net.Addr,
		RootDir: h.net.Root(), Roster: h.net.opts.Roster,
	})
	testkit.Must(h.T, err)
	testkit.Edit(h.T, config.HubFile(h.Dir),
		`reserve = "5GiB"`, `reserve = "64MiB"`, `floor = "1GiB"`, `floor = "32MiB"`,
		`ballast = "64MiB"`, `ballast = "1MiB"`)
}

// open wires the hub as the program does.
func (h *Hub) open(log *slog.Logger) (func(context.Context) error, error) {
	cfg, err := config.LoadHub(config.HubFile(h.Dir))
	if err != nil {
		return nil, err
	}
	store, err := badgerspool.Open(filepath.Join(cfg.State, "spool"), badgerspool.Options{
		Reserve: int64(cfg.Spool.Reserve), Floor: int64(cfg.Spool.Floor), Log: log,
		Now: h.net.opts.Now,
	})
	if err != nil {
		return nil, err
	}
	opened, err := hub.New(hub.Options{
		Config: cfg, Spool: store, Log: log, Grace: time.Second, Now: h.net.opts.Now,
		Console: func(h *hub.Hub) hub.Console {
			return console.New(console.Options{Hub: h, Listen: cfg.Console.Listen, Log: log})
		},
	})
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return func(ctx context.Context) error {
		return errors.Join(opened.Run(ctx), store.Close())
	}, nil
}

// Start runs the hub until it answers.
func (h *Hub) Start(env ...string) {
	h.T.Helper()
	h.Daemon.Start(env...)
	h.answers(func() error { return h.Ask(hub.ControlStatus, hub.Nothing{}, nil) })
	if !h.Running() {
		h.T.Fatalf("the hub has ended: %v", h.err)
	}
}

// Ask calls one of the hub's control operations.
func (h *Hub) Ask(path string, in, out any) error {
	return control.Dial(filepath.Join(h.Dir, "state")).Call(context.Background(), path, in, out)
}

// Admin calls a control operation that must succeed.
func (h *Hub) Admin(path string, in, out any) {
	h.T.Helper()
	testkit.Must(h.T, h.Ask(path, in, out))
}

// Invite returns an invitation for a site.
func (h *Hub) Invite(site id.Site, role string) certs.Invitation {
	h.T.Helper()
	var i hub.Invited
	h.Admin(hub.ControlInvite, hub.InviteRequest{Site: site, Role: role}, &i)
	return i.File()
}

// Admit lets a site in that the hub does not know.
func (h *Hub) Admit(site id.Site, role string, fingerprint id.Hash) {
	h.T.Helper()
	h.Admin(hub.ControlAdmit, hub.AdmitRequest{Site: site, Role: role, Fingerprint: fingerprint},
		nil)
}

// Bind directs routing keys to a queue.
func (h *Hub) Bind(queue string, keys ...string) {
	h.T.Helper()
	h.Admin(hub.ControlBind, hub.BindRequest{Queue: queue, Keys: keys}, nil)
}

// Site is one agent and its folder.
type Site struct {
	*Daemon
	Name        id.Site
	Role        string
	Dir         string
	Fingerprint id.Hash
	Now         func() time.Time // its own clock in this process; nil: the network's
	net         *Network
}

// Site returns a site with its folder and an agent that does not run. It has not joined.
func (n *Network) Site(name id.Site, role, dir string) *Site {
	s := &Site{Daemon: n.daemon(string(name), "agent", dir), Name: name, Role: role, Dir: dir,
		net: n}
	s.serve = s.open
	return s
}

// Join lets a site join with an invitation of the hub's.
func (n *Network) Join(name id.Site, role string, approve ...string) *Site {
	n.T.Helper()
	return n.JoinWith(n.Hub.Invite(name, role), approve...)
}

// JoinWith lets a site join. Its agent does not run yet; it takes files at once, and a small disk
// is enough for it.
func (n *Network) JoinWith(i certs.Invitation, approve ...string) *Site {
	n.T.Helper()
	s := n.Site(i.Site, i.Role, filepath.Join(n.Dir, string(i.Site)))
	joined, err := agent.Join(context.Background(), agent.JoinOptions{
		Invitation: i, Dir: s.Dir, Approve: approve, Version: "test", Now: n.opts.Now,
		Log: slog.New(slog.NewTextHandler(&s.journal, nil)),
	})
	testkit.Must(n.T, err)
	s.Fingerprint = joined.Fingerprint
	if s.Role != config.RoleSend {
		s.Set("reserve", `"16MiB"`)
	}
	if s.Role != config.RoleReceive {
		s.Set("settle", `"0s"`)
	}
	return s
}

// Set changes one key of agent.toml.
func (s *Site) Set(key, value string) {
	s.T.Helper()
	path := config.AgentFile(s.Dir)
	text, err := os.ReadFile(path)
	testkit.Must(s.T, err)
	line := regexp.MustCompile(`(?m)^` + key + ` = .*$`)
	if !line.Match(text) {
		s.T.Fatalf("agent.toml has no %s", key)
	}
	testkit.Must(s.T, os.WriteFile(path, line.ReplaceAll(text, []byte(key+" = "+value)), 0o600))
}

// open wires the agent as the program does.
func (s *Site) open(log *slog.Logger) (func(context.Context) error, error) {
	cfg, err := config.LoadAgent(config.AgentFile(s.Dir))
	if err != nil {
		return nil, err
	}
	now := s.net.opts.Now
	if s.Now != nil {
		now = s.Now
	}
	return func(ctx context.Context) error {
		return agent.Keep(ctx, agent.Options{Config: cfg, Dir: s.Dir, Version: "test", Log: log,
			Now: now})
	}, nil
}

// Start runs the agent until it answers, or has died by itself.
func (s *Site) Start(env ...string) {
	s.T.Helper()
	s.Daemon.Start(env...)
	s.answers(func() error { return s.Ask(agent.PathStatus, agent.StatusRequest{}, nil) })
}

// Ask calls one of the agent's control operations.
func (s *Site) Ask(path string, in, out any) error {
	return control.Dial(filepath.Join(s.Dir, "state")).Call(context.Background(), path, in, out)
}

// Call calls a control operation that must succeed.
func (s *Site) Call(path string, in, out any) {
	s.T.Helper()
	testkit.Must(s.T, s.Ask(path, in, out))
}

// Status returns the agent's status with its latest messages.
func (s *Site) Status() (st agent.Status) {
	s.T.Helper()
	s.Call(agent.PathStatus, agent.StatusRequest{Latest: 100}, &st)
	return st
}

// Identity opens the site's identity.
func (s *Site) Identity() *certs.Identity {
	s.T.Helper()
	return openIdentity(s.T, filepath.Join(s.Dir, "state"))
}

// Drop writes a file into the outbox.
func (s *Site) Drop(name string, content []byte) {
	s.T.Helper()
	testkit.Must(s.T, os.WriteFile(filepath.Join(s.Dir, "outbox", name), content, 0o644))
}

// Inbox lists the files in the inbox by their paths in it, sorted, apart from sealpost's own.
func (s *Site) Inbox() (files []string) {
	s.T.Helper()
	base := filepath.Join(s.Dir, "inbox")
	testkit.Must(s.T, filepath.WalkDir(base, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.Name() == ".sealpost":
			return fs.SkipDir
		case !e.IsDir():
			rel, _ := filepath.Rel(base, path)
			files = append(files, filepath.ToSlash(rel))
		}
		return nil
	}))
	return files
}

// Tray lists the names of the files in the messages' folders of one folder of the tray, sorted.
func (s *Site) Tray(folder string) (names []string) {
	s.T.Helper()
	matches, err := filepath.Glob(filepath.Join(s.Dir, folder, "*", "*"))
	testkit.Must(s.T, err)
	for _, m := range matches {
		names = append(names, filepath.Base(m))
	}
	slices.Sort(names)
	return names
}

// Issue returns an identity of a site with a certificate of the authority's.
func Issue(t testing.TB, authority *certs.Authority, site id.Site, at time.Time) *certs.Identity {
	t.Helper()
	i := openIdentity(t, t.TempDir())
	csr, err := i.CSR()
	testkit.Must(t, err)
	chain, err := authority.IssueSite(csr, site, at)
	testkit.Must(t, err)
	testkit.Must(t, i.SetChain(chain, authority.Network(), at))
	return i
}

func openIdentity(t testing.TB, dir string) *certs.Identity {
	t.Helper()
	key, chain := filepath.Join(dir, "identity.key"), filepath.Join(dir, "chain.pem")
	i, err := certs.OpenIdentity(key, chain)
	testkit.Must(t, err)
	return i
}
