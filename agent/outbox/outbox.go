// Package outbox takes finished files from a tray, seals and publishes them, and follows their
// receipts.
//
// It promises three things, at every instant and after every crash. A dropped file is in exactly
// one place of the tray, which shows its state. It is sealed for exactly the approved recipients.
// Its content is kept until every receipt is verified.
//
// To follow a message, read find.go, claim.go, desk.go, hand.go, lane.go, seal.go, publish.go,
// follow.go and file.go, in this order. The package must not know how files are received.
package outbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"sealpost/agent/ledger"
	"sealpost/agent/trust"
	"sealpost/certs"
	"sealpost/hub/api"
	"sealpost/internal/beneath"
	"sealpost/internal/id"
	"sealpost/internal/line"
	"sealpost/internal/reason"
)

// Options configure an outbox.
type Options struct {
	Site     id.Site
	Network  id.Hash
	Trays    []Tray // at least one, of different names
	State    string // the agent's folder;
	Ledger   *ledger.Ledger
	Hub      Hub
	Trust    *trust.Trust
	Identity *certs.Identity
	Language reason.Language // of WHY.txt; empty: English
	Log      *slog.Logger
}

// Hub is the hub's side of sending: see api.Client. Each call may be repeated. An answer is durable
// at the hub; after an error that is no answer, the call may have happened or not.
type Hub interface {
	Resolve(ctx context.Context, address id.Address) (api.Route, error)
	OpenUpload(ctx context.Context, in api.UploadRequest) (api.UploadState, error)
	PutPart(ctx context.Context, envelope id.Envelope, part int, sum uint32, r io.Reader,
		size int64) error
	AbortUpload(ctx context.Context, envelope id.Envelope) error
	Publish(ctx context.Context, in api.PublishRequest, content []byte) (api.Published, error)
	Known(ctx context.Context, envelopes []id.Envelope) ([]api.KnownEnvelope, error)
	Events(ctx context.Context, in api.EventsRequest) (api.EventsAnswer, error)
}

// sealedFolder is a folder in the state folder. An empty file in it has the id of each envelope of
// which the hub may have parts. It outlives the ledger. Earlier versions kept the ciphertext there.
const sealedFolder = "sealed"

// Outbox is the sending side of a site. Its trays find, claim and file; its desk seals and
// publishes for all of them.
type Outbox struct {
	cfg    Options
	site   id.Site
	trays  []*box // in the order of the configuration; never changes
	ledger *ledger.Ledger
	hub    Hub
	trust  *trust.Trust
	log    *slog.Logger
	desk   *desk
	memory *partMemory
	secret []byte     // from which claims get their identity
	state  beneath.ID // of the state folder, from which nothing is sent
	// rows up to this one are of an older copy of the ledger: see endedBefore
	older   int64
	isOlder bool // the ledger was lost or is an older copy, as found at the start
	// the time of the ledger's loss, or of its older copy, in milliseconds since 1970; 0: neither
	lost     atomic.Int64
	hubIsNew chan struct{}
	waits    chan struct{} // a message may have begun to wait at the hub
	pulse    pulse

	mu          sync.Mutex     // guards the fields below
	hurry       chan struct{}  // closed by Retry, and made anew
	incarnation id.Incarnation // of the hub, from its last answer
	orphans     []id.Envelope  // given up, and the hub may have parts of them
	// the time after which the hub ends a delivery that waits; 0: never, or unknown
	expiresAfter time.Duration
	expiresOf    map[id.Site]time.Duration

	repeats repeats
	held    held
	said    said // about messages that cannot be made durable or sealed
}

// New makes the folders of the trays that answer. Run does the work.
func New(o Options) (*Outbox, error) {
	state, err := beneath.OpenOrMake(o.State, 0o700)
	if err != nil {
		return nil, err
	}
	defer state.Close()
	if err := state.MkdirAll(sealedFolder, 0o700); err != nil {
		return nil, err
	}
	info, err := state.Info()
	if err != nil {
		return nil, err
	}
	secret, err := openSecret(o.State, o.Ledger)
	if err != nil {
		return nil, err
	}
	b := &Outbox{cfg: o, secret: secret, state: info.ID, site: o.Site, ledger: o.Ledger, hub: o.Hub,
		trust: o.Trust, log: o.Log, hubIsNew: make(chan struct{}, 1),
		waits: make(chan struct{}, 1), pulse: defaultPulse, memory: newPartMemory(),
		hurry: make(chan struct{})}
	b.desk = newDesk(b)
	for _, configured := range o.Trays {
		log := o.Log
		if len(o.Trays) > 1 {
			log = log.With("tray", configured.Name)
		}
		b.trays = append(b.trays, b.newTray(configured, log))
	}
	return b, b.begin()
}

// Run works until the context ends, and returns when everything it started has stopped.
func (o *Outbox) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return o.desk.run(ctx) })
	g.Go(func() error { return ignoreCancel(ctx, o.start(ctx, g)) })
	return g.Wait()
}

// start reconciles the ledger with the trays and the hub after the last run, and starts the work.
func (o *Outbox) start(ctx context.Context, g *errgroup.Group) error {
	if err := errors.Join(o.tidy(ctx), o.dropTrees(ctx, time.Now()), o.findOlder(ctx),
		o.adopt(ctx), o.adoptFailures(ctx)); err != nil {
		return fmt.Errorf("tidy up after the last run: %w", err)
	}
	if err := o.missTrays(ctx); err != nil {
		return err
	}
	for _, t := range o.trays {
		g.Go(func() error {
			if err := t.answered(ctx); err != nil {
				return ignoreCancel(ctx, err)
			}
			g.Go(func() error { return t.fileAll(ctx) })
			g.Go(func() error { return t.keepPulse(ctx) })
			return t.find(ctx)
		})
	}
	leftovers, err := o.connected(ctx)
	if err != nil {
		return err
	}
	o.desk.tell(func() {
		o.desk.resume(leftovers)
		o.desk.open()
	})
	g.Go(func() error { return o.follow(ctx) })
	g.Go(func() error { return o.followHeld(ctx) })
	return o.reconcileAll(ctx)
}

// HubIsNew starts a reconciliation with a hub that has restarted or was replaced. Waits that
// concerned the hub before end.
func (o *Outbox) HubIsNew(incarnation id.Incarnation) {
	o.mu.Lock()
	o.incarnation = incarnation
	o.mu.Unlock()
	o.Reconsider()
	poke(o.hubIsNew)
}

// HubExpires takes the time after which the hub ends a delivery that still waits; 0: never. Some
// recipients have a time of their own.
func (o *Outbox) HubExpires(after time.Duration, of map[id.Site]time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.expiresAfter, o.expiresOf = after, of
}

// expiring sets the end of messages that wait at the hub, if it is near.
func (o *Outbox) expiring(list []Message) {
	o.mu.Lock()
	usual, own := o.expiresAfter, o.expiresOf
	o.mu.Unlock()
	for i, m := range list {
		if m.State != ledger.Published {
			continue
		}
		for _, r := range m.Recipients {
			after, isOwn := own[r.Site]
			if !isOwn {
				after = usual
			}
			ends := api.ExpiresSoon(m.Published, time.Now(), after)
			if r.Outcome == "" && !ends.IsZero() && (m.Expires.IsZero() ||
				ends.Before(m.Expires)) {
				m.Expires = ends
			}
		}
		list[i].Expires = m.Expires
	}
}

// Reconsider makes the outbox ask again for routes: an operator has approved or trusted something.
func (o *Outbox) Reconsider() {
	o.desk.tell(func() {
		o.desk.routes.doubt()
		o.desk.reconsider()
	})
}

// Retry ends the pauses before all further attempts.
func (o *Outbox) Retry() {
	o.mu.Lock()
	close(o.hurry)
	o.hurry = make(chan struct{})
	o.mu.Unlock()
	o.Reconsider()
	o.fileSoon()
}

// forgetRoute makes the desk ask the hub for an address again.
func (o *Outbox) forgetRoute(address string) {
	o.desk.tell(func() {
		o.desk.routes.forget(address)
		o.desk.reconsider()
	})
}

// adopt adopts the messages in the trays that the ledger does not know.
func (o *Outbox) adopt(ctx context.Context) error {
	for _, t := range o.trays {
		if err := t.adopt(ctx); err != nil {
			return err
		}
	}
	return nil
}

// fileSoon lets every tray look for messages that have become final.
func (o *Outbox) fileSoon() {
	for _, t := range o.trays {
		poke(t.filing)
	}
}

// tray returns the tray of a name, or nil if agent.toml no longer has it. Messages of a removed
// tray are never sealed.
func (o *Outbox) tray(name string) *box {
	i := slices.IndexFunc(o.trays, func(t *box) bool { return t.Name == name })
	if i < 0 {
		return nil
	}
	return o.trays[i]
}

// line returns the line of the tray of a name; nil: it has no limit.
func (o *Outbox) line(name string) *line.Line {
	if t := o.tray(name); t != nil {
		return t.Line
	}
	return nil
}

// isLimited reports whether a tray has a limit of its own.
func (o *Outbox) isLimited(name string) bool { return o.line(name) != nil }

// trayNames lists the trays of which messages are sealed.
func (o *Outbox) trayNames() (names []string) {
	for _, t := range o.trays {
		if !t.silent.Load() {
			names = append(names, t.Name)
		}
	}
	return names
}

// poke signals a channel of capacity one. A signal that is still pending is enough.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// view reads the ledger. Its error is a ledgerError, which ends the agent; errors of the hub are
// retried.
func (o *Outbox) view(ctx context.Context, do func(*ledger.Tx) error) error {
	if err := o.ledger.View(ctx, do); err != nil {
		return fmt.Errorf("%w: %w", errLedger, err)
	}
	return nil
}
