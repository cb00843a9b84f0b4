//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"sealpost/agent"
	"sealpost/config"
	"sealpost/hub"
	"sealpost/internal/control"
	"sealpost/internal/freeport"
)

// network is a hub with three centres and two labs, one sending to one centre and one to all.
type network struct {
	ctx     context.Context
	dir     string
	bin     string
	addr    string
	hub     *daemon
	one     *site // sends to the first centre
	three   *site // sends to all of them
	centres []*site
	daemons []*daemon // all of them
}

// site is one site with its agent.
type site struct {
	*daemon
	dir string
	to  []*site // of a lab
}

// setUpTime bounds each step of the set-up.
const setUpTime = time.Minute

func startNetwork(ctx context.Context, dir, bin string) (_ *network, err error) {
	n := &network{ctx: ctx, dir: dir, bin: bin}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.stop())
		}
	}()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if err := n.startHub(); err != nil {
		return nil, err
	}
	for _, name := range []string{"CA-RC", "NY-RC", "SF-RC"} {
		s, err := n.join(name, "receive")
		if err != nil {
			return nil, err
		}
		n.centres = append(n.centres, s)
	}
	if n.one, err = n.lab("FL-LAB", n.centres[:1]); err != nil {
		return nil, err
	}
	if n.three, err = n.lab("PA-LAB", n.centres); err != nil {
		return nil, err
	}
	return n, nil
}

func (n *network) startHub() error {
	var err error
	if n.addr, err = freeport.Address(); err != nil {
		return err
	}
	dir := filepath.Join(n.dir, "DC-HQ")
	if err := n.sealpost("hub", "init", "--dir", dir, "--name", "DC-HQ", "--host", "127.0.0.1",
		"--listen", n.addr); err != nil {
		return err
	}
	cfg, err := config.LoadHub(config.HubFile(dir))
	if err != nil {
		return err
	}
	cfg.State, cfg.Spool = "state", config.Spool{Reserve: 128 << 20, Floor: 64 << 20,
		Ballast: 1 << 20}
	if err := config.WriteHub(config.HubFile(dir), cfg); err != nil {
		return err
	}
	n.hub = newDaemon("hub", dir)
	n.daemons = append(n.daemons, n.hub)
	if err := n.hub.start(n.bin, "hub", "run", "--dir", dir); err != nil {
		return err
	}
	return n.answers(n.hub, hub.ControlStatus, hub.Nothing{})
}

// join lets a site join, and runs its agent with settle = "0s".
func (n *network) join(name, role string, flags ...string) (*site, error) {
	s := &site{dir: filepath.Join(n.dir, name)}
	invitation := s.dir + ".join"
	if err := n.sealpost("hub", "invite", name, "--role", role, "--out", invitation, "--dir",
		n.hub.dir); err != nil {
		return nil, err
	}
	if err := n.sealpost(append([]string{"agent", "join", invitation, "--dir", s.dir},
		flags...)...); err != nil {
		return nil, err
	}
	cfg, err := config.LoadAgent(config.AgentFile(s.dir))
	if err != nil {
		return nil, err
	}
	cfg.State, cfg.Outbox.Dir, cfg.Inbox.Dir = "state", ".", "inbox"
	cfg.Outbox.Settle, cfg.Inbox.Reserve = 0, 64<<20
	if err := config.WriteAgent(config.AgentFile(s.dir), cfg); err != nil {
		return nil, err
	}
	s.daemon = newDaemon(name, s.dir)
	n.daemons = append(n.daemons, s.daemon)
	if err := s.start(n.bin, "agent", "run", "--dir", s.dir); err != nil {
		return nil, err
	}
	return s, n.answers(s.daemon, agent.PathStatus, agent.StatusRequest{})
}

func (n *network) lab(name string, to []*site) (*site, error) {
	key := strings.ToLower(name) + ".dat"
	var approve []string
	for _, c := range to {
		queue := strings.ReplaceAll(strings.ToLower(c.name), "-", "_") + "_queue"
		if err := n.sealpost("hub", "bind", queue, key, "--dir", n.hub.dir); err != nil {
			return nil, err
		}
		approve = append(approve, c.name)
	}
	s, err := n.join(name, "send", "--approve", strings.Join(approve, ","))
	if err != nil {
		return nil, err
	}
	s.to = to
	return s, nil
}

// answers waits until a daemon answers.
func (n *network) answers(d *daemon, path string, in any) error {
	ctx, cancel := context.WithTimeout(n.ctx, setUpTime)
	defer cancel()
	for {
		err := control.Dial(filepath.Join(d.dir, "state")).Call(ctx, path, in, nil)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer: %w\n%s", d.name, err, d.tail())
		case <-d.ended:
			return fmt.Errorf("%s has ended: %w\n%s", d.name, d.err, d.tail())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// sealpost runs one command line.
func (n *network) sealpost(args ...string) error {
	out, err := exec.CommandContext(n.ctx, n.bin, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("sealpost %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// stop ends the agents, and then the hub.
func (n *network) stop() error {
	var errs []error
	for i := len(n.daemons) - 1; i >= 0; i-- {
		errs = append(errs, n.daemons[i].stop())
	}
	return errors.Join(errs...)
}

// tails returns the end of every log, to find the cause of a failure.
func (n *network) tails() string {
	var b strings.Builder
	for _, d := range n.daemons {
		fmt.Fprintf(&b, "\n--- %s ---\n%s", d.name, d.tail())
	}
	return b.String()
}
