package hub

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sealpost/config"
	"sealpost/internal/control"
	"sealpost/internal/freeport"
	"sealpost/internal/id"
	"sealpost/spool/badgerspool"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/golang/glog.(*fileSink).flushDaemon"))
}

// headquarters is a hub under test: real files, real certificates, real TLS on loopback, real
// Badger.
type headquarters struct {
	t      testing.TB
	dir    string
	config config.Hub
	store  Store
	hub    *Hub
	log    *journal
	clock  *clock
	wrap   func(Store) Store // a wrapper of the spool
	// for reload
	settings Settings
	cancel   context.CancelFunc
	ended    chan error
}

// journal keeps the hub's log.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// clock is the hub's, and can be put forward.
type clock struct {
	mu     sync.Mutex
	ahead  time.Duration
	stands time.Time // when it was stopped; zero: it goes
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.stands.IsZero() {
		return c.stands.Add(c.ahead)
	}
	return time.Now().Add(c.ahead)
}

// stop freezes the clock, except for explicit steps.
func (c *clock) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stands = time.Now()
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

func newHeadquarters(t testing.TB) *headquarters {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "DC-HQ")
	if _, err := Init(InitOptions{Dir: dir, Name: "DC-HQ", Hosts: []string{"127.0.0.1"},
		Listen: freeAddress(t)}); err != nil {
		t.Fatal(err)
	}
	c, err := config.LoadHub(config.HubFile(dir))
	if err != nil {
		t.Fatal(err)
	}
	return &headquarters{t: t, dir: dir, config: c, log: &journal{}, clock: &clock{},
		wrap: func(s Store) Store {
			return s
		}}
}

// openHeadquarters makes a hub and starts it.
func openHeadquarters(t testing.TB) *headquarters {
	t.Helper()
	q := newHeadquarters(t)
	q.start()
	t.Cleanup(q.stop)
	return q
}

func freeAddress(t testing.TB) string {
	t.Helper()
	addr, err := freeport.Address()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

func (q *headquarters) start() {
	q.t.Helper()
	store, err := badgerspool.Open(filepath.Join(q.config.State, "spool"), badgerspool.Options{})
	if err != nil {
		q.t.Fatal(err)
	}
	q.store = store
	q.hub, err = New(Options{
		Config: q.config, Spool: q.wrap(store), Now: q.clock.now, Grace: 2 * time.Second,
		Version: "test", Settings: q.settings,
		Log: slog.New(slog.NewTextHandler(q.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		q.t.Fatal(errors.Join(err, store.Close()))
	}
	ctx, cancel := context.WithCancel(context.Background())
	q.cancel, q.ended = cancel, make(chan error, 1)
	go func() { q.ended <- q.hub.Run(ctx) }()
}

// openStore opens the store of a hub that does not run.
func (q *headquarters) openStore() Store {
	q.t.Helper()
	store, err := badgerspool.Open(filepath.Join(q.config.State, "spool"), badgerspool.Options{})
	if err != nil {
		q.t.Fatal(err)
	}
	return store
}

// stop ends the hub, if it runs.
func (q *headquarters) stop() {
	q.t.Helper()
	if q.cancel == nil {
		return
	}
	q.cancel()
	q.cancel = nil
	if err := <-q.ended; err != nil {
		q.t.Errorf("the hub ended with: %v", err)
	}
	if err := q.store.Close(); err != nil {
		q.t.Error(err)
	}
}

func (q *headquarters) restart() {
	q.t.Helper()
	q.stop()
	q.start()
}

// ask calls an operation of the local administration, through its socket.
func ask[Out any](q *headquarters, path string, in any) Out {
	q.t.Helper()
	out, err := tryAsk[Out](q, path, in)
	if err != nil {
		q.t.Fatalf("%s: %v", path, err)
	}
	return out
}

func tryAsk[Out any](q *headquarters, path string, in any) (Out, error) {
	var out Out
	err := control.Dial(q.config.State).Call(q.t.Context(), path, in, &out)
	return out, err
}

func (q *headquarters) bind(site id.Site, keys ...string) {
	q.t.Helper()
	ask[Bound](q, ControlBind, BindRequest{Queue: site.Queue(), Keys: keys})
}

func seedQueues(site id.Site, bindings ...string) []config.Queue {
	return []config.Queue{{Name: site.Queue(), Site: string(site), Bindings: bindings}}
}
