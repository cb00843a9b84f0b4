package outbox

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"sealpost/agent/ledger"
	"sealpost/agent/trust"
	"sealpost/envelope"
	"sealpost/hub/api"
	"sealpost/internal/backoff"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

const (
	// blockedAgain is the interval at which the hub is asked again for a blocked address.
	blockedAgain = 30 * time.Second
	// maxAsking bounds the routes that are asked for at the same time.
	maxAsking = 4
)

// decision has the recipients of an address, or the reason that nothing is sent to it.
type decision struct {
	address    id.Address
	version    id.Hash
	proposed   []id.Site // by the hub
	recipients []envelope.Recipient
	unknown    reason.Reason // it names a site that does not exist
	blocked    reason.Reason // none: send
	until      time.Time     // when a block is reconsidered
	heldUntil  time.Time     // when recipients are reconsidered, by the site's clock; zero: never
	stale      bool          // the hub is another one, or an operator has approved something
}

func (d *decision) isOpen() bool { return d.blocked.IsZero() && d.unknown.IsZero() }

// routes remembers decisions until one of their inputs changes. It belongs to the desk.
type routes struct {
	by     map[string]*decision
	asking map[string]bool // addresses that the hub is asked for; false: discard the answer
	pause  backoff.Backoff // while the hub gives no route
	until  time.Time       // of the pause
}

func newRoutes() *routes {
	pause := backoff.Backoff{Min: 200 * time.Millisecond, Max: 15 * time.Second}
	return &routes{by: map[string]*decision{}, asking: map[string]bool{}, pause: pause}
}

// known returns the decision for an address; nil: the hub has to be asked.
func (d *desk) known(address string) *decision {
	r := d.routes.by[address]
	if r == nil || r.stale || !r.blocked.IsZero() && !time.Now().Before(r.until) ||
		!r.heldUntil.IsZero() && !d.o.trust.Now().Before(r.heldUntil) {
		return nil
	}
	return r
}

// route returns the decision for an address. It returns nil while the hub is asked for it.
func (d *desk) route(ctx context.Context, address string) *decision {
	if r := d.known(address); r != nil {
		return r
	}
	r := d.routes
	now := time.Now()
	if now.Before(r.until) {
		d.wakeAt(r.until)
		return nil
	}
	if _, already := r.asking[address]; already || len(r.asking) >= maxAsking {
		return nil
	}
	r.asking[address] = true
	sites := r.sites()
	d.work(func() func() error {
		answer, err := d.o.decide(ctx, address, sites)
		return func() error { return d.decided(address, answer, err) }
	})
	return nil
}

// decided records the decision for an address. It returns only an error of the ledger, or of an
// ended context. Any other comes from the line or the hub, and the hub is asked again.
func (d *desk) decided(address string, answer *decision, err error) error {
	r := d.routes
	valid := r.asking[address]
	delete(r.asking, address)
	d.reconsider()
	switch {
	case errors.Is(err, errLedger) || errors.Is(err, context.Canceled):
		return err
	case err != nil:
		wait := r.pause.Next()
		if after := api.RetryAfter(err); after > 0 {
			r.pause.Reset()
			wait = after
		}
		r.until = time.Now().Add(wait)
		d.o.log.Warn("the hub gives no route; trying again", "error", err)
		return nil
	case !valid:
		return nil
	}
	r.pause.Reset()
	if !answer.blocked.IsZero() {
		answer.until = time.Now().Add(blockedAgain)
		d.wakeAt(answer.until)
		if before := r.by[address]; before == nil || before.blocked != answer.blocked {
			d.o.log.Warn("waiting", "address", address, "reason", answer.blocked)
		}
	}
	r.by[address] = answer
	return nil
}

// decide asks the hub for the route of an address, and compares it with approvals and pins.
func (o *Outbox) decide(ctx context.Context, address string, sites []id.Site) (*decision, error) {
	a, err := id.ParseAddress(address)
	if err != nil {
		return nil, err
	}
	d := &decision{address: a}
	route, err := o.hub.Resolve(ctx, a)
	switch {
	case errors.Is(err, api.ErrUnroutable):
		return d, o.withoutRecipients(ctx, d, sites)
	case errors.Is(err, api.ErrNotAllowed):
		d.blocked = reason.New("may-not-send", "address", address)
		return d, nil
	case isOfAddress(err):
		d.blocked = reason.New("no-route", "why", err)
		return d, nil
	case err != nil:
		return nil, err
	}
	d.version = route.Version
	for _, p := range route.Recipients {
		d.proposed = append(d.proposed, p.Site)
	}
	decided, err := o.trust.Decide(ctx, a, route)
	d.recipients, d.heldUntil = decided.Recipients, decided.Until
	var wait *trust.Waiting
	if errors.As(err, &wait) {
		d.blocked = wait.Reason
		return d, nil
	}
	if err != nil {
		return nil, err
	}
	return d, nil
}

// repropose asks the hub again for an address, if its proposal is shown to the operator. After an
// error the old one stays.
func (o *Outbox) repropose(ctx context.Context, address string) {
	a, err := id.ParseAddress(address)
	if _, shown := o.trust.Proposals()[address]; err != nil || !shown {
		return
	}
	route, err := o.hub.Resolve(ctx, a)
	if err == nil || errors.Is(err, api.ErrUnroutable) {
		o.trust.Propose(a, route)
	}
}

// isOfAddress reports whether the hub refuses one address, while it may answer for others. It leads
// to too many sites, or the hub fails over it.
func isOfAddress(err error) bool {
	var no *api.Error
	if !errors.As(err, &no) {
		return false
	}
	switch no.Code {
	case api.CodeBusy, api.CodeFull, api.CodeUncertain:
		return false
	}
	return !api.IsOfSite(err)
}

// forget makes the desk ask the hub again for an address.
func (r *routes) forget(address string) {
	delete(r.by, address)
	if r.asking[address] {
		r.asking[address] = false
	}
}

// doubt makes the desk ask the hub again for all addresses. The sites to which they led are
// remembered.
func (r *routes) doubt() {
	for _, d := range r.by {
		d.stale = true
	}
	for a := range r.asking {
		r.asking[a] = false
	}
	r.until = time.Time{}
}

// blocked returns the reasons of the blocked addresses.
func (r *routes) blocked() map[string]reason.Reason {
	why := map[string]reason.Reason{}
	for a, d := range r.by {
		if !d.blocked.IsZero() && !d.stale {
			why[a] = d.blocked
		}
	}
	return why
}

// sites lists the sites to which addresses lead.
func (r *routes) sites() (list []id.Site) {
	for _, d := range r.by {
		list = append(list, d.proposed...)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// sitesKnown lists the sites that this one knows. These are the targets of its addresses, and those
// with a pin or an approval.
func (o *Outbox) sitesKnown(ctx context.Context, led []id.Site) ([]string, error) {
	sites := map[string]bool{}
	for _, s := range led {
		sites[string(s)] = true
	}
	err := o.view(ctx, func(tx *ledger.Tx) error {
		pins, err := tx.Pins()
		for _, p := range pins {
			sites[string(p.Site)] = true
		}
		if err != nil {
			return err
		}
		approved, err := tx.ApprovedSites()
		for _, s := range approved {
			sites[string(s)] = true
		}
		return err
	})
	return slices.Sorted(maps.Keys(sites)), err
}
