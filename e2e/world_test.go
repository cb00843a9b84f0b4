//go:build linux

package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sealpost/hub"
	"sealpost/internal/control"
	"sealpost/internal/testkit"
)

// world is a network on loopback: a hub and its sites, each a process with a folder of its own.
type world struct {
	t     testing.TB
	dir   string
	root  string // the folder of the network's root
	addr  string
	hub   *hubSide
	sites []*site
	drops []*drop
	// the hub's folder was destroyed, or put back: it does not know everything that was settled
	// before
	lost bool
}

// hubSide is the hub of a world.
type hubSide struct {
	*daemon
	w     *world
	dir   string
	hosts []string // names under which it is known beside its address
}

func newWorld(t testing.TB) *world { return newWorldOf(t, program) }

func newWorldOf(t testing.TB, bin string, hosts ...string) *world {
	t.Helper()
	return newWorldIn(t, t.TempDir(), bin, hosts...)
}

func newWorldIn(t testing.TB, dir, bin string, hosts ...string) *world {
	t.Helper()
	must(t, lookAtSources())
	w := &world{t: t, dir: dir, addr: testkit.FreeAddress(t)}
	w.root = filepath.Join(w.dir, "root")
	must(t, os.Chmod(filepath.Dir(w.dir), 0o755)) // for agents of other accounts
	w.hub = &hubSide{w: w, dir: filepath.Join(w.dir, "DC-HQ"), hosts: hosts}
	w.hub.daemon = newDaemon(t, "DC-HQ", filepath.Join(w.dir, "DC-HQ.log"), bin, "hub", "run",
		"--dir", w.hub.dir)
	w.hub.Init()
	w.hub.Start()
	return w
}

// at names a place in the hub's folder.
func (h *hubSide) at(path ...string) string {
	return filepath.Join(append([]string{h.dir}, path...)...)
}

func (h *hubSide) config() string { return filepath.Join(h.dir, "hub.toml") }

// Init sets the hub up, or up again under the same root. A small disk is enough for a story, and
// everything is logged so that the auditor can look for secrets in it.
func (h *hubSide) Init() {
	h.t.Helper()
	h.initWith("--name", "DC-HQ", "--host", strings.Join(
		append([]string{"127.0.0.1"}, h.hosts...), ","), "--listen", h.w.addr)
}

func (h *hubSide) initWith(flags ...string) {
	h.t.Helper()
	sealpost(h.t, append([]string{"hub", "init", "--dir", h.dir, "--root", h.w.root}, flags...)...)
	edit(h.t, h.config(), `reserve = "5GiB"`, `reserve = "64MiB"`)
	edit(h.t, h.config(), `floor = "1GiB"`, `floor = "32MiB"`)
	edit(h.t, h.config(), `ballast = "64MiB"`, `ballast = "1MiB"`)
	edit(h.t, h.config(), `log_level = "info"`, `log_level = "debug"`)
}

// Start runs the hub until it answers.
func (h *hubSide) Start(env ...string) {
	h.t.Helper()
	h.daemon.Start(env...)
	eventually(h.t, "the hub answers", func() bool {
		if !h.running() {
			h.t.Fatalf("the hub has ended: %v", h.Ended())
		}
		return h.ask(hub.ControlStatus, hub.Nothing{}, nil) == nil
	})
}

func (h *hubSide) ask(path string, in, out any) error {
	return control.Dial(filepath.Join(h.dir, "state")).Call(context.Background(), path, in, out)
}

func (h *hubSide) Status() (s hub.Status) {
	h.t.Helper()
	must(h.t, h.ask(hub.ControlStatus, hub.Nothing{}, &s))
	return s
}

// Invite writes an invitation and returns its file.
func (h *hubSide) Invite(site, role string, flags ...string) string {
	h.t.Helper()
	file := filepath.Join(h.w.dir, site+".join")
	sealpost(h.t, append([]string{"hub", "invite", site, "--role", role, "--out", file, "--dir",
		h.dir}, flags...)...)
	return file
}

func (h *hubSide) Bind(queue string, keys ...string) {
	h.t.Helper()
	sealpost(h.t, append([]string{"hub", "bind", "--dir", h.dir, queue}, keys...)...)
}

// Destroy removes everything the hub has, as a burnt machine would.
func (h *hubSide) Destroy() {
	h.t.Helper()
	if h.running() {
		h.Kill()
	}
	must(h.t, os.RemoveAll(h.dir))
	h.w.lost = true
}

// Rebuild sets a new hub up under the same root, and lets the sites in again.
func (h *hubSide) Rebuild() {
	h.t.Helper()
	h.Init()
	h.Start()
	h.Admit()
}

// Export writes the export of the network and returns its file, which lies elsewhere.
func (h *hubSide) Export() string {
	h.t.Helper()
	file := filepath.Join(h.w.dir, "DC-HQ.export")
	sealpost(h.t, "hub", "export", file, "--dir", h.dir)
	return file
}

// Restore sets a new hub up from an export, and admits no site by hand.
func (h *hubSide) Restore(export string) {
	h.t.Helper()
	h.initWith("--restore", export)
	h.Start()
}

// Admit lets the sites into a hub that does not know them.
func (h *hubSide) Admit() {
	h.t.Helper()
	for _, s := range h.w.sites {
		sealpost(h.t, "hub", "admit", s.name, "--fingerprint", s.fingerprint, "--role", s.role,
			"--dir", h.dir)
		if s.role != "send" {
			h.Bind(queueOf(s.name), s.bindings...)
		}
	}
}

// Copy copies the folder of a hub that does not run, as an unplanned backup would.
func (h *hubSide) Copy() (folder string) {
	h.t.Helper()
	folder = h.dir + "-copy"
	must(h.t, exec.Command("cp", "-a", h.dir, folder).Run())
	return folder
}

// PutBack pulls the hub's plug, and starts it from an older copy of its folder.
func (h *hubSide) PutBack(folder string) {
	h.t.Helper()
	h.Destroy()
	must(h.t, os.Rename(folder, h.dir))
	h.Start()
}

func queueOf(site string) string {
	return strings.ReplaceAll(strings.ToLower(site), "-", "_") + "_queue"
}

// Centre lets a research centre join, whose queue has these bindings, and runs its agent.
func (w *world) Centre(name string, bindings ...string) *site {
	w.t.Helper()
	s := w.site(name, "receive")
	s.bindings = bindings
	s.join()
	w.hub.Bind(queueOf(name), bindings...)
	s.Start()
	return s
}

// Lab lets a lab join, which sends to these centres, and runs its agent.
func (w *world) Lab(name string, to ...*site) *site {
	w.t.Helper()
	s := w.NewLab(name, to...)
	s.Start()
	return s
}

// NewLab lets a lab join and does not run its agent yet.
func (w *world) NewLab(name string, to ...*site) *site {
	w.t.Helper()
	s := w.site(name, "send")
	s.to = to
	approve := make([]string, len(to))
	for i, c := range to {
		approve[i] = c.name
	}
	s.join("--approve", strings.Join(approve, ","))
	return s
}

// labAndCentre is the smallest network: one lab, one hub, one centre.
func labAndCentre(t testing.TB) (*world, *site, *site) {
	t.Helper()
	w := newWorld(t)
	centre := w.Centre("CA-RC", "fl-lab.*")
	return w, w.Lab("FL-LAB", centre), centre
}
