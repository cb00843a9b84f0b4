package outbox

import (
	"context"
	"slices"

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

// hasRefused reports whether a recipient's answer is final, and it does not get the message.
func hasRefused(r Recipient) bool { return r.Outcome != "" && r.Outcome != ledger.OutcomeDelivered }

// whyNotResent returns an error if a message may not be sent to a site again. It may once it has
// ended, or if the site does not get it, or if the site's receipt is not believed. Of one that is
// on its way to the site again the operator must want two.
func (o *Outbox) whyNotResent(ctx context.Context, m ledger.Outgoing, in Resending) error {
	switch m.State {
	case ledger.Withdrawn:
		return reason.Err("resend-of-withdrawn", "message", m.ID, "name", m.Name)
	case ledger.Delivered:
		return nil
	}
	var stands Message
	err := o.ledger.View(ctx, func(tx *ledger.Tx) (err error) {
		stands, err = describe(tx, m)
		return err
	})
	if err != nil {
		return err
	}
	isThere := func(is func(Recipient) bool) bool {
		return slices.ContainsFunc(stands.Recipients, func(r Recipient) bool {
			return r.Site == in.To && is(r)
		})
	}
	switch {
	case m.State == ledger.Failed && isThere(stands.isRequeuedAt) && !in.Twice:
		return reason.Err("resend-of-requeued", "message", m.ID, "site", in.To)
	case m.State == ledger.Failed, isThere(stands.isDoubtedAt), isThere(hasRefused):
		return nil
	}
	return reason.Err("not-finished", "message", m.ID, "state", m.State.Reason())
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
