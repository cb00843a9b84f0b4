// Package inbox leases deliveries, opens and verifies them, places their content where people look, and settles them with
// a signed receipt.
//
// It promises that a message lies in the inbox exactly once, byte-equal and verified, before its receipt is signed; that
// nothing is visible before every check has passed; that nothing in the inbox is ever overwritten or merged; and that what
// may heal is handed back and not refused. The way of a delivery is told in lease.go, open.go, place.go and settle.go, in
// this order. It must not know how files are sent.
package inbox

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"golang.org/x/sync/errgroup"

	"sealpost/agent/ledger"
	"sealpost/agent/trust"
	"sealpost/certs"
	"sealpost/envelope"
	"sealpost/hub/api"
	"sealpost/internal/beneath"
	"sealpost/internal/id"
)

// Options is what an inbox works with.
type Options struct {
	Site    id.Site
	Network id.Hash
	Dir     string // the inbox
	Reserve int64  // bytes that receiving leaves free on its volume
	MaxSize int64  // bytes of the largest ciphertext that is accepted
	Workers int    // small envelopes opened at the same time
	Readers Readers
	// KeepHidden leaves the leading dot of names. KeepExecutable lets received programs be run.
	KeepHidden, KeepExecutable bool
	Session                    id.Session
	Ledger                     *ledger.Ledger
	Hub                        *api.Client
	Trust                      *trust.Trust
	Identity                   *certs.Identity
	Keys                       *envelope.Keys
	Log                        *slog.Logger
}

// Inbox is one inbox at work.
type Inbox struct {
	cfg    Options
	ledger *ledger.Ledger
	hub    *api.Client
	log    *slog.Logger

	small, large chan *delivery // leased, to be opened
	opened       chan *delivery // opened, to be placed
	settling     chan struct{}

	mu      sync.Mutex // guards what follows, and the tokens of held deliveries
	held    map[id.Envelope]*delivery
	trouble map[id.Envelope]string // why a delivery was handed back, for people
	full    string                 // why nothing is leased for now, for people; empty: it is
	away    string                 // why the inbox cannot be used, for people; empty: it can

	progress map[id.Envelope]*download // large envelopes that are being read
	known    known                     // the own folders as they were seen last

	arranging sync.Mutex // held while the inbox's folders are looked for and made; guards probed
	probed    struct {
		folder beneath.ID
		strict bool
	}
	isRecovered bool // what a crash left was ended; of leaseAll alone
}

// New returns an inbox. Run does the work, and makes the inbox's folders.
func New(o Options) *Inbox {
	return &Inbox{cfg: o, ledger: o.Ledger, hub: o.Hub, log: o.Log,
		small: make(chan *delivery, api.MaxLeases), large: make(chan *delivery, largeWaiting), opened: make(chan *delivery, placeGroup),
		settling: make(chan struct{}, 1), held: map[id.Envelope]*delivery{}, trouble: map[id.Envelope]string{}, progress: map[id.Envelope]*download{}}
}

// Run works until the context ends, and returns when everything it started has stopped. It returns api.ErrHeld when
// another agent of this site has taken the queue.
func (b *Inbox) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return b.leaseAll(ctx) })
	g.Go(func() error { return b.keep(ctx) })
	for range b.cfg.Workers {
		g.Go(func() error { return b.openAll(ctx, b.small) })
	}
	for range largeOpeners {
		g.Go(func() error { return b.openAll(ctx, b.large) })
	}
	g.Go(func() error { return b.placeAll(ctx) })
	g.Go(func() error { return b.settleAll(ctx) })
	err := g.Wait()
	b.handBack()
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return nil
	}
	return err
}

// Reconsider makes deliveries that were handed back because of a pin be looked at as soon as the hub offers them again.
func (b *Inbox) Reconsider() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.trouble)
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
