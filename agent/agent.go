// Package agent is the daemon at a site: it sends the files of its trays and receives others.
//
// It only dials out. New opens keys, certificate and ledger under the state folder's lock, so that
// two agents never share one; Run works until its context ends and returns when everything has
// stopped. Several agents can run in one process. The rooms below have the rest: outbox sends,
// inbox receives, trust decides whom to believe, ledger remembers.
package agent

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"sealpost/agent/inbox"
	"sealpost/agent/ledger"
	"sealpost/agent/outbox"
	"sealpost/agent/trust"
	"sealpost/certs"
	"sealpost/config"
	"sealpost/envelope"
	"sealpost/hub/api"
	"sealpost/internal/control"
	"sealpost/internal/durable"
	"sealpost/internal/id"
	"sealpost/internal/patience"
	"sealpost/internal/reason"
	"sealpost/internal/secretfile"
)

// Options configure an agent.
type Options struct {
	Config config.Agent // with absolute paths, as config.LoadAgent returns it
	// the site's folder, an absolute path, for a STATUS.txt; empty: none is kept there
	Dir     string
	Version string // of the program
	Log     *slog.Logger
	Now     func() time.Time // by which certificates are judged; default time.Now
}

// Agent is one site's daemon.
type Agent struct {
	cfg      config.Agent
	dir      string // the site's folder
	site     id.Site
	network  id.Hash
	session  id.Session // of this start
	log      *slog.Logger
	now      func() time.Time
	lock     io.Closer
	identity *certs.Identity
	keys     *envelope.Keys
	ledger   *ledger.Ledger
	trust    *trust.Trust
	hub      *api.Client
	control  *control.Server
	outbox   *outbox.Outbox // nil: the site does not send
	inbox    *inbox.Inbox   // nil: the site does not receive

	seen      witness // of the hub's audit chain; keepLink's own
	settled   settledHead
	rosterAge reason.Reason // as watchRoster has seen it last; keepLink's own
	// the number of the roster before the last hello was sent; keepLink's own
	rosterAsked int64

	keyChange sync.Mutex  // held while the recipient keys and their statement change
	lacksKey  atomic.Bool // the hub has a later recipient key of this site than its own

	mu          sync.Mutex // guards the fields up to size
	ownKeys     []id.Hash  // hashes of the recipient keys that this site has had
	rotation    rotation
	ownShown    reason.Reason
	link        Link
	roster      rosterLink
	isUnwelcome bool // the hub answers, and has refused something at the last hello
	size        sizeTrouble
	linkChanges atomic.Uint64 // counts the changes of the link in the status
	changed     chan struct{} // of one place: a request shows that the link has changed
}

// New opens everything an agent works with, and takes the site's lock.
func New(o Options) (_ *Agent, err error) {
	a := &Agent{cfg: o.Config, dir: o.Dir, site: id.Site(o.Config.Site),
		network: id.Hash(o.Config.Network), log: o.Log.With("site", o.Config.Site), now: o.Now,
		session: id.Random128[id.Session](), changed: make(chan struct{}, 1)}
	if a.now == nil {
		a.now = time.Now
	}
	defer func() {
		if err == nil {
			return
		}
		if a.lock != nil && !isFull(err) { // otherwise an agent runs, or Keep reports it
			a.reporter(nil).StartFailed(howEnded(err))
		}
		err = errors.Join(err, a.close())
	}()
	if !exists(o.Config.State) {
		return nil, mustHoldKeys(o.Config.State)
	}
	loose, err := secretfile.Enter(o.Config.State)
	if err != nil {
		return nil, err
	}
	if a.lock, err = lockState(o.Config.State); err != nil {
		return nil, err
	}
	loose.Log(a.log)
	if err := forgetTakenOver(o.Config.State); err != nil {
		return nil, err
	}
	if err := a.open(o.Version); err != nil {
		return nil, err
	}
	if err := a.rooms(); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	a.handle(mux)
	a.handleQuestions(mux)
	a.control, err = control.Listen(o.Config.State, mux)
	return a, err
}

func lockState(state string) (io.Closer, error) {
	lock, err := durable.Lock(filepath.Join(state, "lock"))
	if errors.Is(err, durable.ErrLocked) {
		return nil, reason.Err("agent-runs", "state", state)
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, reason.Err("secrets-closed", "folder", state, "why", err)
	}
	return lock, err
}

// open loads the identity, the keys and the ledger.
func (a *Agent) open(version string) (err error) {
	if a.identity, err = siteIdentity(a.cfg); err != nil {
		return err
	}
	root := a.identity.Chain()[2]
	if a.keys, err = openKeys(a.cfg); err != nil {
		return err
	}
	if err := secretfile.EndExchange(recipientKeyFile(a.cfg)); err != nil {
		return err
	}
	path := ledgerFile(a.cfg)
	if !exists(path) && (exists(filepath.Join(a.cfg.State, "claims.key")) ||
		exists(filepath.Join(a.cfg.Inbox.Dir, ".sealpost"))) {
		a.log.Warn("no ledger", "reason", reason.New("ledger-gone", "copy",
			ledger.TrustFile), "file", path)
	}
	if a.ledger, err = openLedger(path, a.log); err != nil {
		return err
	}
	a.trust = &trust.Trust{Ledger: a.ledger, Network: a.network, Suite: a.cfg.Suite,
		RekeyHold: time.Duration(a.cfg.RekeyHold), RequireCompared: a.cfg.RequireCompared,
		DirectToAny:   a.cfg.Direct == config.DirectAny,
		RequireRoster: a.cfg.Roster == config.RosterRequired,
		Verifier:      certs.NewVerifier(root), Now: a.now, Log: a.log}
	if err := a.trust.Load(context.Background()); err != nil {
		return err
	}
	if err := a.rememberOwnKey(context.Background()); err != nil {
		return err
	}
	a.hub = newClient(a.cfg, a.identity, api.ClientOptions{UserAgent: userAgent(version),
		Session: a.session, Role: a.cfg.Role, Heard: a.heard,
		Backlog: a.asksBacklog,
		Up:      newLine(a.cfg.RateUp), Down: newLine(a.cfg.RateDown),
		Audit:   func() (newest, receipt uint64) { return a.seen.Block, a.seen.Receipt.Block },
		Settled: a.settled.take}, a.now)
	if a.seen, err = loadWitness(context.Background(), a.ledger); err != nil {
		a.log.Warn("head of the audit chain not read, and begun anew", "error", err)
	}
	return nil
}

// rooms makes the outbox and the inbox as far as the site's role has them.
func (a *Agent) rooms() (err error) {
	if a.cfg.Sends() {
		a.outbox, err = outbox.New(outbox.Options{
			Site: a.site, Network: a.network, Trays: trays(a.cfg), State: a.cfg.State,
			Ledger: a.ledger, Hub: a.hub, Trust: a.trust, Identity: a.identity, Log: a.log,
			Language: reason.Language(a.cfg.Language),
		})
	}
	if err == nil && a.cfg.Receives() {
		a.inbox = inbox.New(inbox.Options{
			Site: a.site, Network: a.network, Dir: a.cfg.Inbox.Dir,
			Reserve: int64(a.cfg.Inbox.Reserve), MaxSize: int64(a.cfg.Inbox.MaxSize),
			Workers: a.cfg.Inbox.Workers, Readers: inbox.Readers(a.cfg.Inbox.Readers),
			KeepHidden: a.cfg.Inbox.Hidden, KeepExecutable: a.cfg.Inbox.Executables,
			OnlyCompared: a.cfg.Inbox.Accept == config.AcceptCompared,
			PerDay:       int64(a.cfg.Inbox.AcceptPerDay), Now: a.now,
			Session: a.session,
			Ledger:  a.ledger, Hub: a.hub, Trust: a.trust, Identity: a.identity, Keys: a.keys,
			LacksKey: a.lacksKey.Load, Log: a.log,
		})
	}
	return err
}

// trays are the trays from which the site sends, as the outbox takes them.
func trays(cfg config.Agent) (list []outbox.Tray) {
	for _, t := range cfg.Trays() {
		list = append(list, outbox.Tray{
			Folders: outbox.Folders{Dir: t.Dir}, Name: t.Name,
			Address: id.Address{RoutingKey: t.Route}, Kind: t.Kind, FirstNumber: t.FirstNumber,
			Settle: time.Duration(t.Settle), FolderSettle: time.Duration(t.FolderSettle),
			Hold: time.Duration(t.Hold), Sweep: time.Duration(t.Sweep), Ignore: t.Ignore,
			Hidden: t.Hidden, OnlyMarked: t.Finished == config.FinishedMarker,
			KeepsRest: t.Changes == config.ChangesTell,
			Markers:   t.Markers, ShareSettle: time.Duration(t.ShareSettle), Disk: t.Disk,
			RepeatWindow:  time.Duration(t.RepeatWindow),
			LeavesRepeats: t.Repeat == config.RepeatLeave,
			KeepDelivered: time.Duration(t.KeepDelivered), Line: newLine(t.RateUp),
		})
	}
	return list
}

// Run works until the context ends, then hands back the work in hand and closes everything. It
// returns an error when the agent cannot go on: its ledger fails, or another agent of the site has
// taken the queue.
func (a *Agent) Run(ctx context.Context) error {
	a.log.Info("started", "role", a.cfg.Role, "fingerprint", a.identity.Key())
	g, working := errgroup.WithContext(ctx)
	server := a.control
	a.control = nil // its Run closes it
	g.Go(func() error { return server.Run(working) })
	g.Go(func() error { return a.keepLink(working) })
	g.Go(func() error { return a.keepAges(working) })
	ended := func() (reason.Situation, reason.Reason) {
		if ctx.Err() != nil {
			return reason.Stopped, reason.New("was-stopped")
		}
		return howEnded(context.Cause(working))
	}
	g.Go(func() error { return a.reporter(ended).Run(working) })
	if a.outbox != nil {
		g.Go(func() error { return a.outbox.Run(working) })
	}
	if a.inbox != nil {
		g.Go(func() error { return a.inbox.Run(working) })
	}
	err := a.await(working, g)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = nil // stopped as asked, in the middle of something
	}
	if errors.Is(err, api.ErrHeld) {
		err = errors.Join(err, noteTakenOver(a.cfg.State, time.Now()))
	}
	a.log.Info("stopped")
	return errors.Join(err, a.close())
}

// endPatience is the longest wait for the work at the end. A folder of a server that is away may
// hold it up for ever.
const endPatience = 10 * time.Second

// await waits for the work, and at the end of its context no longer than endPatience.
func (a *Agent) await(working context.Context, g *errgroup.Group) error {
	ended := make(chan error, 1)
	go func() { ended <- g.Wait() }()
	select {
	case err := <-ended:
		return err
	case <-working.Done():
	}
	err, ok := patience.Within(endPatience, func() error { return <-ended })
	if !ok {
		a.log.Error("stopped in the middle of work", "reason", reason.New("end-hangs"))
		return context.Cause(working)
	}
	return err
}

// close releases everything that New has opened, as far as it got.
func (a *Agent) close() error {
	var errs []error
	if a.hub != nil {
		a.hub.CloseIdle()
	}
	if a.control != nil {
		errs = append(errs, a.control.Close())
	}
	if a.ledger != nil {
		errs = append(errs, a.ledger.Close())
	}
	if a.lock != nil {
		errs = append(errs, a.lock.Close())
	}
	return errors.Join(errs...)
}
