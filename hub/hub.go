// Package hub is the server at headquarters: it authenticates sites, routes what they send, keeps it in the spool, and
// hands it out.
//
// It promises that nothing is answered with success before the spool has it durably, that a site reaches only its own (what
// it may not see answers as what does not exist), and that what a slow, greedy or hostile client can hold is bounded. Every
// request is authorised against the directory as it is at that moment.
//
// It must not know what is carried. It never imports package envelope or age, so it cannot decrypt; names of files, digests
// of content and private keys of sites never reach it; and its log has sites, addresses, ids, times and sizes, nothing else.
package hub

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"sealpost/certs"
	"sealpost/config"
	"sealpost/internal/control"
	"sealpost/internal/id"
	"sealpost/spool"
)

// Store is the spool as the hub needs it. badgerspool is one.
type Store interface {
	spool.Spool
	spool.Registry
	spool.Admin
}

// Options configure a Hub.
type Options struct {
	Config  config.Hub       // from config.LoadHub
	Spool   Store            // opened by the caller, who closes it after Run has returned
	Log     *slog.Logger     // default slog.Default()
	Now     func() time.Time // default time.Now
	Grace   time.Duration    // how long Run waits for requests under way when it stops; default 20 s
	Version string           // of the program, for the status
}

// Hub is one running hub.
type Hub struct {
	config   config.Hub
	spool    Store
	log      *slog.Logger
	now      func() time.Time
	grace    time.Duration
	version  string
	started  time.Time
	startID  string
	tokenKey []byte // binds lease tokens to the site that holds them; means nothing after a restart, as they do

	renewing      sync.Mutex // guards renewalFailed, and that the hub's certificate is renewed once
	renewalFailed time.Time

	identity  *certs.Identity
	authority *certs.Authority
	verifier  certs.Verifier
	dir       *directory
	told      *addresses
	uploads   *uploads
	intake    *intake
	guesses   *guesses
	links     *links
	metrics   *metrics
	listener  net.Listener
	watched   net.Listener // for metrics and health; nil: nowhere
	control   *control.Server
	stopping  context.Context // ends when the hub begins to stop: waits are answered at once
	stop      context.CancelFunc
}

// Names of the hub's files in its state folder, beside those of the issuing authority.
const (
	keyFile   = "hub.key"
	chainFile = "chain.pem"
)

// New opens the hub of a state folder that Init has made, and its listening sockets. Run must be called: it closes them.
func New(o Options) (*Hub, error) {
	h := &Hub{
		config: o.Config, spool: o.Spool, log: o.Log, now: o.Now, grace: o.Grace, version: o.Version,
		startID: id.Random128[string](), tokenKey: make([]byte, 32),
		told: newAddresses(), uploads: newUploads(), links: newLinks(), guesses: newGuesses(), metrics: newMetrics(),
		intake: newIntake(int64(o.Config.Limits.BodiesInFlight)),
	}
	rand.Read(h.tokenKey) // never fails: crypto/rand ends the process instead
	h.setDefaults()
	h.started = h.now()
	if err := h.openIdentity(); err != nil {
		return nil, fmt.Errorf("hub %s: %w", o.Config.Name, err)
	}
	if err := h.openDirectory(context.Background()); err != nil {
		return nil, fmt.Errorf("hub %s: %w", o.Config.Name, err)
	}
	h.stopping, h.stop = context.WithCancel(context.Background())
	h.metrics.registry.MustRegister(figures{h})
	if err := h.listen(); err != nil {
		return nil, fmt.Errorf("hub %s: %w", o.Config.Name, err)
	}
	return h, nil
}

func (h *Hub) setDefaults() {
	if h.log == nil {
		h.log = slog.Default()
	}
	if h.now == nil {
		h.now = time.Now
	}
	if h.grace == 0 {
		h.grace = 20 * time.Second
	}
}

func (h *Hub) openIdentity() error {
	state := h.config.State
	var err error
	if h.authority, err = certs.OpenAuthority(state); err != nil {
		return fmt.Errorf("%w; run sealpost hub init first", err)
	}
	h.verifier = certs.NewVerifier(h.authority.Root())
	if h.identity, err = certs.OpenIdentity(filepath.Join(state, keyFile), filepath.Join(state, chainFile)); err != nil {
		return err
	}
	return h.renewSelf()
}

// openDirectory reads what the spool knows, seeds it from the configuration when that is nothing, and finishes removals
// that a crash has cut short.
func (h *Hub) openDirectory(ctx context.Context) error {
	var err error
	if h.dir, err = openDirectory(ctx, h.spool); err != nil {
		return err
	}
	if err := h.seed(ctx); err != nil {
		return err
	}
	for _, s := range h.dir.view().sites {
		if !s.removed() {
			continue
		}
		if _, err := h.killWaiting(ctx, s.Name); err != nil {
			return err
		}
	}
	return nil
}

func (h *Hub) listen() error {
	var err error
	if h.listener, err = net.Listen("tcp", h.config.Listen); err != nil {
		return err
	}
	if h.config.Metrics != "" {
		if h.watched, err = net.Listen("tcp", h.config.Metrics); err != nil {
			return errors.Join(err, h.listener.Close())
		}
	}
	if h.control, err = control.Listen(h.config.State, h.controls()); err != nil {
		return errors.Join(err, h.closeListeners())
	}
	return nil
}

func (h *Hub) closeListeners() error {
	err := h.listener.Close()
	if h.watched != nil {
		err = errors.Join(err, h.watched.Close())
	}
	return err
}

// Addr is the address on which the hub listens for agents.
func (h *Hub) Addr() net.Addr { return h.listener.Addr() }

// Run serves until the context ends, which is no error, or the spool's state becomes uncertain, which is one: then the
// process should end and start again. It stops the intake, answers what waits, drains what is under way for at most the
// grace time, and returns when nothing of it runs any more.
func (h *Hub) Run(ctx context.Context) error {
	h.log.Info("hub started", "hub", h.config.Name, "listen", h.Addr().String(), "network", h.verifier.Network,
		"incarnation", h.spool.Incarnation(), "start", h.startID, "sites", len(h.dir.view().sites))
	group, ctx := errgroup.WithContext(ctx)
	watching, enough := context.WithCancel(context.WithoutCancel(ctx))
	group.Go(func() error {
		defer enough() // those who watch see the hub stop
		return h.serve(ctx)
	})
	group.Go(func() error { return h.serveMonitoring(watching) })
	group.Go(func() error { return h.control.Run(ctx) })
	group.Go(func() error { return h.keepRenewed(ctx) })
	group.Go(func() error { return h.watchSpool(ctx) })
	err := group.Wait()
	h.log.Info("hub stopped", "hub", h.config.Name)
	if err != nil {
		return fmt.Errorf("hub %s: %w", h.config.Name, err)
	}
	return nil
}

func (h *Hub) watchSpool(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-h.spool.Poisoned():
		return spool.ErrUncertain
	}
}
