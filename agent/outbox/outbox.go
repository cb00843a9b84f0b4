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
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"sealpost/agent/ledger"
	"sealpost/agent/trust"
	"sealpost/certs"
	"sealpost/hub/api"
	"sealpost/internal/beneath"
	"sealpost/internal/id"
	"sealpost/internal/progress"
)

// Options is what an outbox works with.
type Options struct {
	Site     id.Site
	Network  id.Hash
	Trays    []Tray // at least one, of different names
	State    string // the agent's folder; sealed files lie in State/sealed
	Ledger   *ledger.Ledger
	Hub      *api.Client
	Trust    *trust.Trust
	Identity *certs.Identity
	Log      *slog.Logger
}

// sealedFolder is the folder in the state folder in which large envelopes lie until the hub has them.
const sealedFolder = "sealed"

// Outbox is the sending side of a site: its trays, which find, claim and file, and what seals and publishes for all of
// them.
type Outbox struct {
	cfg      Options
	site     id.Site
	trays    []*tray // in the order of the configuration; never changes
	ledger   *ledger.Ledger
	hub      *api.Client
	trust    *trust.Trust
	log      *slog.Logger
	routes   *routes
	lanes    []*lane
	orphans  []id.Envelope // found sealed at the start, and of no use
	secret   []byte        // from which claims get their identity
	state    beneath.ID    // of the state folder, which nothing is sent from
	hubIsNew chan struct{}

	mu          sync.Mutex           // guards what follows
	stumbles    map[string]string    // why the hub takes nothing for an address, for people
	busy        map[id.UID]bool      // messages in the hands of a sealer
	sending     map[id.Envelope]bool // envelopes in the hands of a sealer
	progress    map[id.Envelope]*progress.Meter
	incarnation id.Incarnation // of the hub, as it said last
}

// New makes the trays' folders. Run does the work.
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
	secret, err := openSecret(o.State)
	if err != nil {
		return nil, err
	}
	b := &Outbox{cfg: o, secret: secret, state: info.ID, site: o.Site, ledger: o.Ledger, hub: o.Hub, trust: o.Trust, log: o.Log, hubIsNew: make(chan struct{}, 1),
		stumbles: map[string]string{}, busy: map[id.UID]bool{}, sending: map[id.Envelope]bool{}, progress: map[id.Envelope]*progress.Meter{}}
	for _, configured := range o.Trays {
		t, err := b.newTray(configured, len(o.Trays) > 1)
		if err != nil {
			return nil, fmt.Errorf("tray %s: %w", configured.Name, err)
		}
		b.trays = append(b.trays, t)
	}
	if err := apart(b.trays); err != nil {
		return nil, err
	}
	b.routes = newRoutes(b)
	b.lanes = []*lane{newLane(b, true, smallSealers), newLane(b, false, largeSealers)}
	return b, nil
}

// Run works until the context ends, and returns when everything it started has stopped.
func (o *Outbox) Run(ctx context.Context) error {
	if err := ignoreCancel(ctx, errors.Join(o.tidy(ctx), o.dropTree(ctx, ""), o.adopt(ctx))); err != nil {
		return fmt.Errorf("tidy up after the last run: %w", err)
	}
	if err := ignoreCancel(ctx, o.missTrays(ctx)); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, t := range o.trays {
		g.Go(func() error { return t.find(ctx) })
		g.Go(func() error { return t.fileAll(ctx) })
	}
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
	o.routes.doubt() // a wait may be true of the hub before only
	o.wake()
	poke(o.hubIsNew)
}

// Reconsider makes the outbox ask again for routes: a person has approved or trusted something.
func (o *Outbox) Reconsider() {
	o.routes.doubt()
	o.wake()
}

func (o *Outbox) wake() {
	for _, l := range o.lanes {
		poke(l.more)
	}
}

// adopt takes up what lies in the trays and the ledger does not know.
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

// tray returns the tray of a name, or nil when agent.toml has none of it any more. Messages of such a tray are never sealed.
func (o *Outbox) tray(name string) *tray {
	i := slices.IndexFunc(o.trays, func(t *tray) bool { return t.Name == name })
	if i < 0 {
		return nil
	}
	return o.trays[i]
}

// trayNames lists the trays of which messages are sealed.
func (o *Outbox) trayNames() []string {
	names := make([]string, len(o.trays))
	for i, t := range o.trays {
		names[i] = t.Name
	}
	return names
}

// poke wakes whoever waits on a channel of one place; one that is awake already loses nothing.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// view reads the ledger; its failure is not the hub's, and ends the agent.
func (o *Outbox) view(ctx context.Context, do func(*ledger.Tx) error) error {
	if err := o.ledger.View(ctx, do); err != nil {
		return fmt.Errorf("%w: %w", errLedger, err)
	}
	return nil
}
