package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"sealpost/agent"
	"sealpost/config"
	"sealpost/hub"
	"sealpost/internal/control"
	"sealpost/internal/durable"
	"sealpost/internal/freeport"
	"sealpost/internal/id"
)

// network is the demo's folder and the daemons that run in it.
type network struct {
	dir     string // absolute
	fire    *fire  // nil: the hub was not destroyed
	nursery *nursery
	say     func(format string, args ...any)
}

func (n *network) site(s id.Site) string { return filepath.Join(n.dir, string(s)) }

// open makes the folder, or reuses one of an earlier demo, and locks it until the closer is closed.
func (n *network) open() (io.Closer, error) {
	entries, err := os.ReadDir(n.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the demo's folder: %w; choose another with --dir", err)
	}
	marker := filepath.Join(n.dir, markerName)
	if _, err := os.Stat(marker); len(entries) > 0 && err != nil {
		return nil, fmt.Errorf("%s is neither empty nor a demo's folder; choose another with --dir",
			n.dir)
	}
	if err := durable.MkdirAll(n.dir, 0o755); err != nil {
		return nil, fmt.Errorf("the demo's folder: %w; choose another with --dir", err)
	}
	lock, err := durable.Lock(marker)
	if errors.Is(err, durable.ErrLocked) {
		return nil, fmt.Errorf("another demo runs in %s; stop it, "+
			"or choose another folder with --dir", n.dir)
	}
	if err != nil {
		return nil, fmt.Errorf("the demo's folder: %w; choose another with --dir", err)
	}
	return lock, nil
}

// markerName is the lock file, and marks a demo's folder.
const markerName = ".sealpost-demo"

// hubDaemon is the name of the hub's process.
const hubDaemon = "the hub " + string(hubName)

func agentDaemon(site id.Site) string { return "the agent " + string(site) }

// startHub sets the hub up, as by hand, and runs it until it answers.
func (n *network) startHub(ctx context.Context) error {
	dir := n.site(hubName)
	if _, err := os.Stat(config.HubFile(dir)); errors.Is(err, fs.ErrNotExist) {
		if err := n.initHub(ctx, dir); err != nil {
			return err
		}
	}
	cfg, err := config.LoadHub(config.HubFile(dir))
	if err != nil {
		return err
	}
	if _, err := n.nursery.start(hubDaemon, dir, "hub", "run", "--dir", dir); err != nil {
		return err
	}
	if err := n.answering(ctx, cfg.State, hub.ControlStatus); err != nil {
		return err
	}
	n.say("%s runs the hub on %s", hubName, cfg.Listen)
	return nil
}

func (n *network) initHub(ctx context.Context, dir string) error {
	listen, err := n.hubAddress()
	if err != nil {
		return err
	}
	err = n.nursery.command(ctx, "hub", "init", "--dir", dir, "--name", string(hubName),
		"--host", "127.0.0.1", "--listen", listen, "--root", dir+"-root")
	if err != nil {
		return err
	}
	cfg, err := config.LoadHub(config.HubFile(dir))
	if err != nil {
		return err
	}
	// A small machine is enough for a demo: the defaults keep gigabytes free.
	cfg.State = "state"
	cfg.Spool = config.Spool{Reserve: 256 << 20, Floor: 128 << 20, Ballast: 16 << 20}
	return config.WriteHub(config.HubFile(dir), cfg)
}

// hubAddress returns the hub's address at the sites, or, before any has joined, a free port.
func (n *network) hubAddress() (string, error) {
	cfg, err := config.LoadAgent(config.AgentFile(n.site(centres[0].site)))
	if err == nil {
		return cfg.Hub[0], nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	return freeport.Address()
}

// enter lets a site join and runs its agent. It admits a site that has joined before, since the hub
// may be a new one.
func (n *network) enter(ctx context.Context, site id.Site, role string, extra ...string) error {
	_, err := os.Stat(filepath.Join(n.site(site), "state", "chain.pem"))
	joined := err == nil
	if !joined {
		if err := n.join(ctx, site, role, extra...); err != nil {
			return err
		}
	}
	if !n.nursery.runs(agentDaemon(site)) {
		if err := n.startAgent(ctx, site); err != nil {
			return err
		}
	}
	if joined {
		return n.admit(ctx, site, role)
	}
	return nil
}

// admit takes the fingerprint from the site itself, as `agent status` shows it.
func (n *network) admit(ctx context.Context, site id.Site, role string) error {
	var s agent.Status
	if err := control.Dial(filepath.Join(n.site(site), "state")).Call(ctx, agent.PathStatus,
		agent.StatusRequest{}, &s); err != nil {
		return fmt.Errorf("ask %s for its fingerprint: %w", site, err)
	}
	return n.nursery.command(ctx, "hub", "admit", string(site),
		"--fingerprint", string(s.Fingerprint), "--role", role, "--dir", n.site(hubName))
}

// join invites a site and lets it join, as by hand.
func (n *network) join(ctx context.Context, site id.Site, role string, extra ...string) error {
	dir, invitation := n.site(site), filepath.Join(n.dir, string(site)+".join")
	if err := n.nursery.command(ctx, "hub", "invite", string(site), "--role", role,
		"--out", invitation, "--dir", n.site(hubName)); err != nil {
		return err
	}
	if err := n.nursery.command(ctx, append([]string{"agent", "join", invitation, "--dir", dir},
		extra...)...); err != nil {
		return err
	}
	if err := os.Remove(invitation); err != nil {
		return err
	}
	cfg, err := config.LoadAgent(config.AgentFile(dir))
	if err != nil {
		return err
	}
	cfg.State, cfg.Outbox.Dir, cfg.Inbox.Dir = "state", ".", "inbox"
	cfg.Inbox.Reserve = 32 << 20
	return config.WriteAgent(config.AgentFile(dir), cfg)
}

// startAgent runs the agent of a site that has joined.
func (n *network) startAgent(ctx context.Context, site id.Site) error {
	dir := n.site(site)
	if _, err := n.nursery.start(agentDaemon(site), dir, "agent", "run", "--dir", dir); err != nil {
		return err
	}
	return n.answering(ctx, filepath.Join(dir, "state"), "/status")
}

// startSites starts the research centres and then the labs. A lab can approve its route only once
// the centres have queues and bindings.
func (n *network) startSites(ctx context.Context) error {
	for _, c := range centres {
		if err := n.enter(ctx, c.site, config.RoleReceive); err != nil {
			return err
		}
		bind := append([]string{"hub", "bind", "--dir", n.site(hubName), c.site.Queue()},
			c.bindings...)
		if err := n.nursery.command(ctx, bind...); err != nil {
			return err
		}
		n.say("%s is admitted and receives through %s, which is bound to %v", c.site,
			c.site.Queue(), c.bindings)
	}
	for _, l := range labs {
		err := n.enter(ctx, l.site, config.RoleSend, "--kind", l.kind, "--route", l.route(),
			"--approve", "route", "--first-number", strconv.FormatInt(l.number, 10))
		if err != nil {
			return err
		}
		n.say("%s is admitted and sends under %s", l.site, l.route())
	}
	return nil
}

// answering waits until the daemon of a state folder answers, or a child has ended.
func (n *network) answering(ctx context.Context, state, path string) error {
	const patience = 30 * time.Second
	deadline := time.Now().Add(patience)
	for {
		err := control.Dial(state).Call(ctx, path, struct{}{}, nil)
		if err == nil {
			return nil
		}
		if failed := n.nursery.failed(); failed != nil {
			return failed
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("no answer from the daemon in %s after %s: %w", filepath.Dir(state),
				patience, err)
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

// pause waits between two polls.
func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(100 * time.Millisecond):
		return nil
	}
}
