package outbox

import (
	"context"
	"errors"
	"slices"
	"time"

	"sealpost/agent/ledger"
	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/internal/nearest"
	"sealpost/internal/words"
)

// maxNear is how many sites are offered for a mistyped name.
const maxNear = 3

// nobody decides about an address without recipients. A routing key waits until a queue is bound to
// it. A direct address is given up when it names an unknown site, and waits when this site knows
// them all: then the hub is a new one, or has removed a site. The hub is asked only for routes,
// which every sender may ask for.
func (o *Outbox) nobody(ctx context.Context, d *decision, led []id.Site) error {
	if d.address.RoutingKey != "" {
		d.blocked = words.NobodyReceives(d.address)
		return nil
	}
	known, err := o.sitesKnown(ctx, led)
	if err != nil {
		return err
	}
	var strays []words.Stray
	for _, site := range d.address.To {
		if slices.Contains(known, string(site)) {
			continue
		}
		_, err := o.hub.Resolve(ctx, id.Address{To: []id.Site{site}})
		switch {
		case errors.Is(err, api.ErrUnroutable):
			strays = append(strays, words.Stray{Name: site, Self: site == o.site, Near: nearest.Names(string(site), known, maxNear)})
		case err != nil:
			return err
		}
	}
	if len(strays) == 0 {
		d.blocked = words.ReceivesNoMore(d.address)
		return nil
	}
	d.unknown = words.UnknownSites(strays, known)
	return nil
}

// giveUp ends messages of which nothing was sent, and never will be.
func (o *Outbox) giveUp(ctx context.Context, list []ledger.Outgoing, reason string) error {
	err := o.ledger.Update(ctx, func(tx *ledger.Tx) error {
		for _, m := range list {
			if err := tx.Fail(m.UID, reason, time.Now()); err != nil {
				return err
			}
			o.log.Error("failed", "message", m.ID, "address", m.Address, "reason", reason)
		}
		return nil
	})
	if err != nil {
		return errors.Join(errLedger, err)
	}
	o.fileSoon()
	return nil
}
