// Package inbox leases deliveries, opens and verifies them, places their content, and settles them
// with a signed receipt.
//
// It promises that a message is in the inbox exactly once, byte-equal and verified, before its
// receipt is signed; that nothing is visible before every check has passed; that nothing in the
// inbox is ever overwritten or merged; and that a delivery is released, and not refused, after a
// failure that a retry may heal. Read lease.go, open.go, place.go and settle.go, in this order, for
// the way of a delivery. The package must not know how files are sent.
package inbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"sealpost/agent/ledger"
	"sealpost/agent/trust"
	"sealpost/certs"
	"sealpost/envelope"
	"sealpost/hub/api"
	"sealpost/internal/beneath"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// Options is the configuration of an inbox, with the parts that it uses.
type Options struct {
	Site    id.Site
	Network id.Hash
	Dir     string // the inbox
	Reserve int64  // bytes to leave free on its volume
	MaxSize int64  // bytes of the largest accepted ciphertext
	Workers int    // number of concurrent openers of small envelopes
	Readers Readers
	// KeepHidden keeps the leading dot of names. KeepExecutable keeps programs executable.
	KeepHidden, KeepExecutable bool
	// OnlyCompared takes nothing from senders that no user has compared.
	OnlyCompared bool
	PerDay       int64 // bytes that are taken from each sender in a day; 0: no limit
	Now          func() time.Time
	Session      id.Session
	Ledger       *ledger.Ledger
	Hub          *api.Client
	Trust        *trust.Trust
	Identity     *certs.Identity
	Keys         *envelope.Keys
	// LacksKey reports whether the newest recipient key of this site is not among Keys: an older
	// state folder was put back. Nothing is refused for that.
	LacksKey func() bool
	Log      *slog.Logger
}

// Inbox receives the deliveries of one site.
type Inbox struct {
	cfg    Options
	ledger *ledger.Ledger
	hub    *api.Client
	log    *slog.Logger

	// content reads a ciphertext from an offset on; a test replaces it.
	content func(ctx context.Context, d *delivery, from int64) (r io.Reader, stop func())

	small, large *turns         // leased, to be opened
	opened       chan *delivery // opened, to be placed
	settling     chan struct{}

	mu      sync.Mutex // guards the fields up to known, and the tokens of held deliveries
	held    map[id.Envelope]*delivery
	reasons map[id.Envelope]reason.Reason // of released deliveries

	fullReason     reason.Reason // why nothing is leased; none: leasing
	unusableReason reason.Reason // why the inbox is unusable; none: usable
	trouble        troubles      // of released deliveries
	isMended       bool          // trouble has ended: all that rests at the hub is to be leased
	isRenewing     bool          // the present call of the hub is the last one of its session
	stopLease      func()        // ends that call; nil: none
	blocked        []id.Site     // senders from whom nothing is taken, by name
	today          daily         // bytes taken from each sender

	progress map[id.Envelope]*download // downloads of large envelopes
	known    knownFolders              // the own folders that were last found in order

	blocking  sync.Mutex // serializes changes of blocked
	moving    sync.Mutex // serializes renames to places, for disks where they need a look
	disks     ownDisks
	arranging sync.Mutex // serializes arrange; guards probed
	probed    struct {
		folder    beneath.ID
		hasOwners bool
	}
	collecting  sync.Mutex  // is held while edges are looked for or removed
	isRecovered atomic.Bool // recover has succeeded; leaseAll alone sets it
}

// New returns an inbox. Run does the work and makes the inbox's folders.
func New(o Options) *Inbox {
	b := &Inbox{cfg: o, ledger: o.Ledger, hub: o.Hub, log: o.Log,
		small: newTurns(o.Workers), large: newTurns(largeOpeners),
		opened: make(chan *delivery, maxGroup), settling: make(chan struct{}, 1),
		held: map[id.Envelope]*delivery{}, reasons: map[id.Envelope]reason.Reason{},
		progress: map[id.Envelope]*download{},
		isMended: true, // the start may have another configuration or disk
	}
	b.content = b.source
	return b
}

// Run works until the context ends, and returns after its goroutines. It returns api.ErrHeld if
// another agent of this site has taken the queue.
func (b *Inbox) Run(ctx context.Context) error {
	if err := b.loadBlocked(ctx); err != nil {
		return ignoreCancel(ctx, fmt.Errorf("read the blocked senders: %w", err))
	}
	if err := b.loadToday(ctx); err != nil {
		return ignoreCancel(ctx, fmt.Errorf("read what was taken today: %w", err))
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return b.leaseAll(ctx) })
	g.Go(func() error { return b.extendLeases(ctx) })
	g.Go(func() error { return b.watch(ctx) })
	for _, from := range []*turns{b.small, b.large} {
		for n := range from.openers + guests {
			kind := regular
			if n >= from.openers {
				kind = guest
			}
			g.Go(func() error { return b.openAll(ctx, from, kind) })
		}
	}
	g.Go(func() error { return b.placeAll(ctx) })
	g.Go(func() error { return b.settleAll(ctx) })
	err := g.Wait()
	b.releaseHeld()
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return nil
	}
	return err
}

// Reconsider forgets the reasons of released deliveries, after a change of a pin or of the hub. It
// asks for them at once.
func (b *Inbox) Reconsider() {
	b.mu.Lock()
	clear(b.reasons)
	b.mu.Unlock()
	b.mended()
}

// wake wakes the receiver of c, or leaves the pending wake.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
