package outbox

import (
	"context"
	"errors"
	"sync"
	"time"

	"sealpost/agent/trust"
	"sealpost/envelope"
	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/internal/words"
)

// blockedAgain is when an address that may not be sent to is asked for again without an event.
const blockedAgain = 30 * time.Second

// decision is for whom an address is sealed now, or why nothing is sent to it.
type decision struct {
	address    id.Address
	version    id.Hash
	proposed   []id.Site // by the hub
	recipients []envelope.Recipient
	unknown    string    // for people: the address names what is no site, and never will lead anywhere
	blocked    string    // for people; empty: send
	since      time.Time // of the block
	until      time.Time // when a block is reconsidered
	stale      bool      // the hub is another one, or an operator has approved something
}

// routes remembers decisions until something that they rest on changes.
type routes struct {
	o  *Outbox
	mu sync.Mutex // guards by
	by map[string]*decision
}

func newRoutes(o *Outbox) *routes { return &routes{o: o, by: map[string]*decision{}} }

// decide returns the decision for an address, asking the hub when none is remembered. An error is the line's or the
// hub's, and heals.
func (r *routes) decide(ctx context.Context, address string) (*decision, error) {
	r.mu.Lock()
	d := r.by[address]
	r.mu.Unlock()
	if d != nil && !d.stale && (d.blocked == "" || time.Now().Before(d.until)) {
		return d, nil
	}
	fresh, err := r.ask(ctx, address)
	if err != nil || fresh.unknown != "" {
		return fresh, err // not remembered: a site of that name may be invited any time
	}
	if fresh.blocked != "" {
		fresh.since, fresh.until = time.Now(), time.Now().Add(blockedAgain)
		if d != nil && d.blocked == fresh.blocked {
			fresh.since = d.since
		} else {
			r.o.log.Warn("waiting", "address", address, "reason", fresh.blocked)
		}
	}
	r.mu.Lock()
	r.by[address] = fresh
	r.mu.Unlock()
	return fresh, nil
}

func (r *routes) ask(ctx context.Context, address string) (*decision, error) {
	a, err := id.ParseAddress(address)
	if err != nil {
		return nil, err
	}
	d := &decision{address: a}
	route, err := r.o.hub.Resolve(ctx, a)
	switch {
	case errors.Is(err, api.ErrUnroutable):
		return d, r.nobody(ctx, d)
	case errors.Is(err, api.ErrNotAllowed):
		d.blocked = words.MayNotSend(a)
		return d, nil
	case isOfAddress(err):
		d.blocked = words.HubGivesNoRoute(err)
		return d, nil
	case err != nil:
		return nil, err
	}
	d.version = route.Version
	for _, p := range route.Recipients {
		d.proposed = append(d.proposed, p.Site)
	}
	d.recipients, err = r.o.trust.Decide(ctx, a, route)
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

// isOfAddress reports whether the hub refuses one address, while it may answer for others: it leads to too many sites, or the hub
// fails over it.
func isOfAddress(err error) bool {
	var no *api.Error
	if !errors.As(err, &no) {
		return false
	}
	switch no.Code {
	case api.CodeBusy, api.CodeFull, api.CodeUncertain, api.CodeNoCert, api.CodeExpired, api.CodeNotAdmitted:
		return false
	}
	return true
}

// forget has the hub asked again for an address.
func (r *routes) forget(address string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.by, address)
}

// doubt has the hub asked again for all addresses. The sites to which they led are remembered.
func (r *routes) doubt() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for a, d := range r.by {
		old := *d
		old.stale = true
		r.by[a] = &old
	}
}

// blocked lists why addresses are not sent to, for people.
func (r *routes) blocked() map[string]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	why := map[string]string{}
	for a, d := range r.by {
		if d.blocked != "" && !d.stale {
			why[a] = d.blocked
		}
	}
	return why
}
