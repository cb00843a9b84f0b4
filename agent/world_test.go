package agent_test

import (
	"bytes"
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sealpost/agent"
	"sealpost/certs"
	"sealpost/internal/id"
	"sealpost/internal/testkit"
	"sealpost/internal/testnet"
)

func TestMain(m *testing.M) {
	// Stories that run side by side wait more than they work. The few others run before them.
	if err := flag.Set("test.parallel", "12"); err != nil {
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

// world is a hub and its sites in this process.
type world struct {
	*testnet.Network
	t    *testing.T
	dir  string
	addr string           // of the hub
	now  func() time.Time // of every daemon; nil: the real one
}

func newWorld(t *testing.T) *world { t.Helper(); return newWorldAt(t, nil) }

// newWorldAt is a world where it is another time.
func newWorldAt(t *testing.T, now func() time.Time) *world {
	t.Helper()
	n := testnet.New(t, testnet.Options{Now: now})
	return &world{Network: n, t: t, dir: n.Dir, addr: n.Addr, now: now}
}

func (w *world) hubDir() string { return w.Hub.Dir }
func (w *world) initHub()       { w.t.Helper(); w.Hub.Init() }
func (w *world) startHub()      { w.t.Helper(); w.Hub.Start() }
func (w *world) stopHub()       { w.t.Helper(); w.Hub.Stop() }

func (w *world) admin(path string, in, out any) { w.t.Helper(); w.Hub.Admin(path, in, out) }

func (w *world) invite(site, role string) certs.Invitation {
	w.t.Helper()
	return w.Hub.Invite(id.Site(site), role)
}

func (w *world) admit(site, role string, fingerprint id.Hash) {
	w.t.Helper()
	w.Hub.Admit(id.Site(site), role, fingerprint)
}

func (w *world) bind(queue string, keys ...string) { w.t.Helper(); w.Hub.Bind(queue, keys...) }

// log returns the log of processes that a story runs beside the world's own daemons.
func (w *world) log(string) *slog.Logger { return slog.New(slog.DiscardHandler) }

// site is one agent and its folder.
type site struct {
	*testnet.Site
	w    *world
	name id.Site
	dir  string
}

func (w *world) site(s *testnet.Site) *site {
	return &site{Site: s, w: w, name: s.Name, dir: s.Dir}
}

// join lets a site join, which takes every file at once, and runs its agent.
func (w *world) join(name, role string, approve ...string) *site {
	w.t.Helper()
	return w.joinBy(nil, name, role, approve...)
}

// joinBy is join for a site whose clock is another than the hub's; nil: the same.
func (w *world) joinBy(now func() time.Time, name, role string, approve ...string) *site {
	w.t.Helper()
	s := w.site(w.Join(id.Site(name), role, approve...))
	s.Now = now
	if role != "receive" {
		s.set("sweep", `"500ms"`)
		s.set("folder_settle", `"0s"`)
	}
	s.start()
	return s
}

func (s *site) set(key, value string)               { s.T.Helper(); s.Set(key, value) }
func (s *site) start()                              { s.T.Helper(); s.Start() }
func (s *site) stop()                               { s.T.Helper(); s.Stop() }
func (s *site) drop(name string, content []byte)    { s.T.Helper(); s.Drop(name, content) }
func (s *site) call(path string, in, out any) error { return s.Ask(path, in, out) }
func (s *site) status() agent.Status                { s.T.Helper(); return s.Status() }
func (s *site) inInbox() []string                   { s.T.Helper(); return s.Inbox() }
func (s *site) tray(folder string) []string         { s.T.Helper(); return s.Tray(folder) }

// expect waits until the file is in the inbox with this content.
func (s *site) expect(from, name string, content []byte) {
	s.T.Helper()
	path := filepath.Join(s.dir, "inbox", from, name)
	var got []byte
	eventually(s.T, string(s.name)+" has "+name, func() bool {
		var err error
		got, err = os.ReadFile(path)
		return err == nil
	})
	if !bytes.Equal(got, content) {
		s.T.Fatalf("%s holds %d bytes, want %d", path, len(got), len(content))
	}
}
