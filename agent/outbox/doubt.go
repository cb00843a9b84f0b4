package outbox

import (
	"context"

	"sealpost/agent/ledger"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// doubted returns the reason for not believing receipts of a message at the hub, or none.
func (m Message) doubted() reason.Reason {
	var doubts []reason.Reason
	var site id.Site
	for _, r := range m.Recipients {
		if m.isDoubtedAt(r) {
			if len(doubts) == 0 {
				site = r.Site
			}
			doubts = append(doubts, r.Doubt)
		}
	}
	if len(doubts) == 0 {
		return reason.Reason{}
	}
	return reason.New("receipts-not-believed", "doubts", doubts, "message", m.ID, "site", site)
}

// isDoubtedAt reports whether a message waits for a recipient whose receipt is not believed.
func (m Message) isDoubtedAt(r Recipient) bool {
	waits := m.State == ledger.Sealed || m.State == ledger.Published
	return waits && r.Outcome == "" && !r.Doubt.IsZero()
}

// mayResend reports whether a message may be sent to a site again. It may once it has ended, or if
// the site's receipt is not believed.
func (o *Outbox) mayResend(ctx context.Context, m ledger.Outgoing,
	to id.Site) (may bool, err error) {
	if m.State == ledger.Delivered || m.State == ledger.Failed {
		return true, nil
	}
	err = o.ledger.View(ctx, func(tx *ledger.Tx) error {
		stands, err := describe(tx, m)
		for _, r := range stands.Recipients {
			may = may || r.Site == to && stands.isDoubtedAt(r)
		}
		return err
	})
	return may, err
}

// recheckAll checks all receipts in doubt again. A pin may have changed just before a crash.
func (o *Outbox) recheckAll(ctx context.Context) error {
	var sites []id.Site
	err := o.view(ctx, func(tx *ledger.Tx) (err error) {
		sites, err = tx.DoubtedSites()
		return err
	})
	for _, site := range sites {
		if err == nil {
			err = o.Recheck(ctx, site)
		}
	}
	return err
}
