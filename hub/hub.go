// Package hub is the server at headquarters. It authenticates sites, and routes, spools and hands
// out their envelopes.
//
// It promises three things. A success is answered only after the spool's durable commit. A site
// reaches only its own data: a foreign thing answers like a missing one. A slow, greedy or hostile
// client holds bounded resources. Every request is authorised against the present directory.
//
// It must not know the content. It never imports package envelope or age, so it cannot decrypt.
// Names of files, digests of content and private keys of sites never reach it. Its log has only
// sites, addresses, ids, times and sizes.
package hub

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"sealpost/certs"
	"sealpost/config"
	"sealpost/internal/control"
	"sealpost/internal/id"
	"sealpost/spool"
)

// Store is the set of spool interfaces that the hub needs. badgerspool implements it.
type Store interface {
	spool.Spool
	spool.Registry
	spool.Admin
	spool.Holds
	spool.Audit
}

// Options configure a Hub.
type Options struct {
	Config  config.Hub       // from config.LoadHub
	Spool   Store            // the caller opens it, and closes it after Run has returned
	Log     *slog.Logger     // default slog.Default()
	Now     func() time.Time // default time.Now
	Grace   time.Duration    // longest wait for open requests when Run stops; default 20 s
	Version string           // of the program, for the status
	// Settings are for reload; without them the configuration stays as it is.
	Settings Settings
	// Passphrases are asked for an encrypted issuing key without passphrase_file and credential.
	Passphrases certs.Passphrases
	// Console makes the pages of a hub that New has opened; nil: there are none.
	Console func(*Hub) Console
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
	tokenKey []byte // binds lease tokens to their site; new at each start, like the tokens

	settings  Settings
	reloading sync.Mutex // guards inEffect
	inEffect  config.Hub
	hostList  atomic.Pointer[[]string]
	quota     atomic.Pointer[config.Quota]
	keepAudit atomic.Pointer[config.Duration]

	keepMetadata atomic.Pointer[config.Duration]
	records      records
	// [deliveries] of hub.toml
	deliveries atomic.Pointer[config.Deliveries]
	roster     atomic.Pointer[roster] // nil: there is none
	lostRoster rosterMark             // of the export that was restored; zero: none
	ages       ages

	// read-held by the calls of admins on other computers; write-held while one is removed
	administration sync.RWMutex

	renewing      sync.Mutex // held during a renewal; guards renewalFailed
	renewalFailed time.Time

	capacity int64 // bytes of the disk without the reserve

	identity  *certs.Identity
	authority *certs.Authority
	verifier  certs.Verifier
	dir       *directory
	told      *addresses
	uploads   *uploads
	intake    *intake
	unknown   *limiters[id.Site] // invented envelope ids
	unsettled *limiters[id.Site] // wrong settlements
	issued    certificates
	guesses   *limiters[netip.Addr] // wrong invitations
	links     *links
	knocks    *knocks
	knocking  *limiters[id.Hash] // keys with a good certificate that are not admitted
	present   *presence
	refusals  *refusals
	metrics   *metrics
	flows     *flows
	past      *history
	listener  net.Listener
	watched   net.Listener // for metrics and health; nil if not configured
	control   *control.Server
	console   Console         // nil: there is none
	stopping  context.Context // ends when the hub begins to stop, and ends all waits
	stop      context.CancelFunc
}

// Names of the hub's files in its state folder, beside those of the issuing authority.
const (
	keyFile   = "hub.key"
	chainFile = "chain.pem"
)

// New opens the hub of a state folder made by Init, and its listening sockets. Run closes them, so
// the caller must call it.
func New(o Options) (*Hub, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	h := &Hub{
		config: o.Config, spool: o.Spool, log: cmp.Or(o.Log, slog.Default()), now: o.Now,
		grace: cmp.Or(o.Grace, 20*time.Second), version: o.Version, started: o.Now(),
		startID: id.Random128[string](), tokenKey: make([]byte, 32),
		told: newAddresses(), uploads: newUploads(), present: newPresence(),
		knocks:    newKnocks(),
		knocking:  newLimiters[id.Hash](knockRate, knockBurst),
		unknown:   newLimiters[id.Site](unknownRate, unknownBurst),
		unsettled: newLimiters[id.Site](unsettledRate, unsettledBurst),
		issued:    certificates{of: map[id.Site]*x509.Certificate{}},
		guesses:   newGuesses(), metrics: newMetrics(), flows: newFlows(), past: newHistory(),
		intake: newIntake(int64(o.Config.Limits.BodiesInFlight)),
	}
	h.settings, h.inEffect = o.Settings, o.Config
	h.hostList.Store(&o.Config.Hosts)
	h.quota.Store(&o.Config.Quota)
	h.keepAudit.Store(&o.Config.KeepAudit)
	h.keepMetadata.Store(&o.Config.KeepMetadata)
	h.deliveries.Store(&o.Config.Deliveries)
	rand.Read(h.tokenKey) // never fails: crypto/rand ends the process instead
	h.refusals = newRefusals(h.log)
	h.links = newLinks(h.cutStranger)
	if err := h.openIdentity(o.Passphrases); err != nil {
		return nil, fmt.Errorf("hub %s: %w", o.Config.Name, err)
	}
	if err := h.openRoster(); err != nil {
		return nil, fmt.Errorf("hub %s: %w", o.Config.Name, err)
	}
	if err := h.openDirectory(spool.WithNote(context.Background(),
		spool.AuditNote{By: "hub", Call: "start"})); err != nil {
		return nil, fmt.Errorf("hub %s: %w", o.Config.Name, err)
	}
	h.stopping, h.stop = context.WithCancel(context.Background())
	h.metrics.registry.MustRegister(figures{h})
	h.openHistory()
	if err := h.listen(); err != nil {
		return nil, fmt.Errorf("hub %s: %w", o.Config.Name, err)
	}
	if o.Console != nil {
		h.console = o.Console(h)
	}
	return h, nil
}

// openIdentity opens the authority and the hub's identity, and renews its certificate if due.
func (h *Hub) openIdentity(ask certs.Passphrases) error {
	state := h.config.State
	var err error
	h.authority, err = Passphrases(h.config, ask).OpenAuthority(state)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w; run sealpost hub init first", err)
	}
	if err != nil {
		return err
	}
	h.verifier = certs.NewVerifier(h.authority.Root())
	if h.identity, err = certs.OpenIdentity(filepath.Join(state, keyFile),
		filepath.Join(state, chainFile)); err != nil {
		return err
	}
	return h.renewSelf()
}

// openDirectory reads the directory from the spool and finishes interrupted removals. An export
// that Init has put in place is restored; an empty directory is seeded from the configuration.
func (h *Hub) openDirectory(ctx context.Context) error {
	var err error
	if h.dir, err = openDirectory(ctx, h.spool); err != nil {
		return err
	}
	if err := h.keepSuite(); err != nil {
		return err
	}
	if err := h.restore(ctx); err != nil {
		return err
	}
	if err := h.seed(ctx); err != nil {
		return err
	}
	if err := errors.Join(h.measure(ctx), h.limit(ctx), h.readAges(ctx)); err != nil {
		return err
	}
	for _, s := range h.dir.view().sites {
		if !s.isRemoved() {
			continue
		}
		if err := h.free(ctx, s, &Removed{}); err != nil {
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
		err = errors.Join(err, h.listener.Close())
		if h.watched != nil {
			err = errors.Join(err, h.watched.Close())
		}
	}
	return err
}

// Addr returns the address on which the hub listens for agents.
func (h *Hub) Addr() net.Addr { return h.listener.Addr() }

// Run serves until the context ends, and then returns nil. If the spool's state becomes uncertain
// it returns an error, and the process must restart. To stop, it closes the listener, answers
// waiting requests, drains open requests for at most the grace time, and returns after all its
// goroutines.
func (h *Hub) Run(ctx context.Context) error {
	h.log.Info("hub started", "hub", h.config.Name, "listen", h.Addr().String(),
		"network", h.verifier.Network,
		"incarnation", h.spool.Incarnation(), "start", h.startID, "sites", len(h.dir.view().sites))
	h.note(ctx, spool.AuditNote{By: "hub", Call: "start", Text: fmt.Sprintf(
		"sealpost %s, incarnation %s", h.version, h.spool.Incarnation())})
	group, ctx := errgroup.WithContext(ctx)
	watching, enough := context.WithCancel(context.WithoutCancel(ctx))
	group.Go(func() error {
		defer enough() // monitoring outlives the API, and shows that the hub stops
		return h.serve(ctx)
	})
	group.Go(func() error { return h.serveMonitoring(watching) })
	group.Go(func() error { return h.control.Run(ctx) })
	if h.console != nil {
		group.Go(func() error { return h.console.Run(ctx) })
	}
	group.Go(func() error { return h.keepRenewed(ctx) })
	group.Go(func() error { return h.watchSpool(ctx) })
	group.Go(func() error { return h.watchRoom(ctx) })
	group.Go(func() error { return h.watchSettings(ctx) })
	group.Go(func() error { return h.endDeliveries(ctx) })
	group.Go(func() error { return h.watchRefusals(watching) })
	group.Go(func() error { return h.watchAudit(watching) })
	group.Go(func() error { return h.watchHistory(watching) })
	err := group.Wait()
	h.log.Info("hub stopped", "hub", h.config.Name)
	if err != nil {
		return fmt.Errorf("hub %s: %w", h.config.Name, err)
	}
	return nil
}

// watchSpool returns an error when the spool's state becomes uncertain.
func (h *Hub) watchSpool(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-h.spool.Poisoned():
		return spool.ErrUncertain
	}
}
