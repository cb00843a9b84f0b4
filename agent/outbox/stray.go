package outbox

import (
	"context"
	"errors"
	"slices"
	"time"

	"sealpost/agent/ledger"
	"sealpost/agent/trust"
	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/internal/nearest"
	"sealpost/internal/reason"
)

const (
	maxNear  = 3  // sites that are offered for a mistyped name
	maxKnown = 10 // sites that are listed where none is near
)

// withoutRecipients decides about an address without recipients. A routing key waits until a queue
// is bound to it. A direct address is given up when it names an unknown site, and waits when this
// site knows them all: then the hub is a new one, or has removed a site. The hub is asked only for
// routes, as every sender may ask for them.
func (o *Outbox) withoutRecipients(ctx context.Context, d *decision, led []id.Site) error {
	if d.address.RoutingKey != "" {
		d.blocked = trust.NotReceived(d.address)
		return nil
	}
	known, err := o.sitesKnown(ctx, led)
	if err != nil {
		return err
	}
	var strays []reason.Reason
	for _, site := range d.address.To {
		if slices.Contains(known, string(site)) {
			continue
		}
		_, err := o.hub.Resolve(ctx, id.Address{To: []id.Site{site}})
		switch {
		case errors.Is(err, api.ErrUnroutable):
			strays = append(strays, Stray(site, o.site, known))
		case err != nil:
			return err
		}
	}
	if len(strays) == 0 {
		d.blocked = reason.New("receives-no-more", "address", d.address.String())
		return nil
	}
	if slices.ContainsFunc(strays, func(r reason.Reason) bool { return r.Code == "site-near" }) {
		known = nil
	}
	d.unknown = reason.New("unknown-sites", "strays", strays, "known",
		known[:min(maxKnown, len(known))])
	return nil
}

// Stray returns the reason that a name is not a receiving site. known are the sites that the caller
// knows.
func Stray(name, self id.Site, known []string) reason.Reason {
	near := nearest.Names(string(name), known, maxNear)
	switch {
	case name == self:
		return reason.New("site-is-self", "site", name)
	case slices.Contains(known, string(name)):
		return reason.New("site-receives-no-more", "site", name)
	case len(near) > 0:
		return reason.New("site-near", "site", name, "near", near)
	}
	return reason.New("site-unknown", "site", name)
}

// giveUp ends messages of which nothing was sent, and never will be.
func (o *Outbox) giveUp(ctx context.Context, list []ledger.Outgoing, why reason.Reason) error {
	err := o.ledger.Update(ctx, func(tx *ledger.Tx) error {
		for _, m := range list {
			if err := tx.Fail(m.UID, why, time.Now()); err != nil {
				return err
			}
			o.log.Error("failed", "message", m.ID, "address", m.Address, "reason", why)
		}
		return nil
	})
	if err != nil {
		return errors.Join(errLedger, err)
	}
	o.fileSoon()
	return nil
}
