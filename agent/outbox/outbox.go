// Package outbox takes finished files from a tray, seals and publishes them, and follows them until every recipient has
// signed for them.
//
// It promises that a file which was dropped is, at every instant and after every crash, in exactly one place of the tray
// that says where it stands; that it is sealed for exactly the approved recipients; and that its content is kept until
// every receipt is verified. The life of a message is told in find.go, claim.go, lane.go, seal.go, publish.go, follow.go and
// file.go, in this order. It must not know how files are received.
package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"sealpost/agent/ledger"
	"sealpost/agent/trust"
	"sealpost/certs"
	"sealpost/hub/api"
	"sealpost/internal/durable"
	"sealpost/internal/id"
	"sealpost/internal/progress"
)

// Options is what an outbox works with.
type Options struct {
	Site         id.Site
	Network      id.Hash
	Tray         Tray
	Address      id.Address    // of everything dropped into this tray
	Kind         string        // of its messages
	FirstNumber  int64         // of a day
	Settle       time.Duration // how long a file must stay unchanged
	FolderSettle time.Duration // how long everything in a folder must
	Hold         time.Duration // how long a message waits before it is sealed, so that it can be recalled
	Sweep        time.Duration // how often the tray is looked through
	State        string        // the agent's folder; sealed files lie in State/sealed
	Ledger       *ledger.Ledger
	Hub          *api.Client
	Trust        *trust.Trust
	Identity     *certs.Identity
	Log          *slog.Logger
}

// Outbox is one tray at work.
type Outbox struct {
	cfg      Options
	site     id.Site
	tray     Tray
	address  id.Address
	ledger   *ledger.Ledger
	hub      *api.Client
	trust    *trust.Trust
	log      *slog.Logger
	routes   *routes
	lanes    []*lane
	orphans  []id.Envelope // found sealed at the start, and of no use
	secret   []byte        // from which claims get their identity
	filing   chan struct{}
	hubIsNew chan struct{}

	mu          sync.Mutex           // guards what follows
	notes       map[string]string    // entries of outbox/ that are not taken, and why
	unmoved     map[string]string    // entries of outbox/ that are claimed and could not be moved, and what people are told
	unknown     map[string]string    // folders of sending/ that are not taken up again, and why
	busy        map[id.UID]bool      // messages in the hands of a sealer
	sending     map[id.Envelope]bool // envelopes in the hands of a sealer
	progress    map[id.Envelope]*progress.Meter
	incarnation id.Incarnation // of the hub, as it said last
}

// New makes the tray's folders. Run does the work.
func New(o Options) (*Outbox, error) {
	if err := o.Tray.Make(); err != nil {
		return nil, err
	}
	if err := durable.MkdirAll(filepath.Join(o.State, "sealed"), 0o700); err != nil {
		return nil, err
	}
	secret, err := openSecret(o.State)
	if err != nil {
		return nil, err
	}
	b := &Outbox{cfg: o, secret: secret, site: o.Site, tray: o.Tray, address: o.Address, ledger: o.Ledger, hub: o.Hub, trust: o.Trust, log: o.Log,
		filing: make(chan struct{}, 1), hubIsNew: make(chan struct{}, 1),
		unmoved: map[string]string{}, busy: map[id.UID]bool{}, sending: map[id.Envelope]bool{}, progress: map[id.Envelope]*progress.Meter{}}
	b.routes = newRoutes(b)
	b.lanes = []*lane{newLane(b, true, smallSealers), newLane(b, false, largeSealers)}
	return b, nil
}

// Run works until the context ends, and returns when everything it started has stopped.
func (o *Outbox) Run(ctx context.Context) error {
	if err := ignoreCancel(ctx, errors.Join(o.tidy(ctx), o.dropTree(ctx, ""), o.adopt(ctx))); err != nil {
		return fmt.Errorf("tidy up after the last run: %w", err)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return (&finder{o: o, pending: map[string]*pending{}}).run(ctx) })
	g.Go(func() error { return o.fileAll(ctx) })
	g.Go(func() error {
		leftovers, err := o.connected(ctx)
		if err != nil {
			return ignoreCancel(ctx, err)
		}
		for _, l := range o.lanes {
			g.Go(func() error { return l.run(ctx) })
		}
		g.Go(func() error { return o.publishLeftovers(ctx, leftovers) })
		g.Go(func() error { return o.follow(ctx) })
		return o.reconcileAll(ctx)
	})
	return g.Wait()
}

// HubIsNew tells that the hub has started anew, or is another one: what it should have is asked for.
func (o *Outbox) HubIsNew(incarnation id.Incarnation) {
	o.mu.Lock()
	o.incarnation = incarnation
	o.mu.Unlock()
	poke(o.hubIsNew)
}

// Reconsider makes the outbox ask again for routes: a person has approved or trusted something.
func (o *Outbox) Reconsider() {
	o.routes.forget("")
	o.wake()
}

func (o *Outbox) wake() {
	for _, l := range o.lanes {
		poke(l.more)
	}
}

// poke wakes whoever waits on a channel of one place; one that is awake already loses nothing.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// addressOf is the address of what is dropped into a folder under outbox/: the tray's own, or the sites that the
// folder's name lists after an @.
func (o *Outbox) addressOf(dir string) (string, error) {
	if dir == "." {
		return o.address.String(), nil
	}
	var to []id.Site
	for name := range strings.SplitSeq(strings.TrimPrefix(dir, "@"), ",") {
		to = append(to, id.Site(strings.ToUpper(strings.TrimSpace(name))))
	}
	slices.Sort(to)
	a := id.Address{To: slices.Compact(to)}
	return a.String(), a.Validate()
}

// note replaces what people are told about entries of outbox/ that are not taken.
func (o *Outbox) note(notes map[string]string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for name, why := range notes {
		if o.notes[name] != why {
			o.log.Warn("not taken", "reason", why) // the name is for the status, not for the log
		}
	}
	o.notes = notes
}

// view reads the ledger; its failure is not the hub's, and ends the agent.
func (o *Outbox) view(ctx context.Context, do func(*ledger.Tx) error) error {
	if err := o.ledger.View(ctx, do); err != nil {
		return fmt.Errorf("%w: %w", errLedger, err)
	}
	return nil
}
