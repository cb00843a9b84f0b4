package outbox

import (
	"time"

	"sealpost/agent/ledger"
	"sealpost/agent/trust"
	"sealpost/hub/api"
	"sealpost/internal/reason"
)

// lateAfter is how long a message may wait at the hub before an operator is told the consequences.
const lateAfter = 10 * time.Minute

// waiting lists the messages of a tray that wait at the hub, oldest first. It needs the tray's
// counts.
func (t *TrayStatus) waiting(tx *ledger.Tx) ([]ledger.Outgoing, error) {
	if t.Counts[ledger.Published] == 0 {
		return nil, nil // a search for a tray's first message may read many of other trays
	}
	return tx.Unanswered(t.Name, few)
}

// IsLate reports whether a message has waited at the hub for long.
func (s Standing) IsLate(now time.Time) bool {
	return len(s.Waiting) > 0 && now.Sub(s.Waiting[0].Published) > lateAfter
}

// WaitsFor returns the recipients of a message at the hub that have not answered, and the answers
// of the others.
func (m Message) WaitsFor() reason.Reason {
	var open, answers []reason.Reason
	for _, r := range m.Recipients {
		switch {
		case r.Outcome == "" && r.ShutOut != "":
			open = append(open, reason.New("waits-for-shut-out", "site", r.Site, "standing",
				trust.Standing{Ground: r.ShutOut, Roster: r.Roster}.Reason()))
		case r.Outcome == "" && !r.Doubt.IsZero():
			open = append(open, reason.New("receipt-not-believed", "site", r.Site))
		case r.Outcome == "" && isHeldCode(r.Held):
			open = append(open, whyHeld(api.Held{Recipient: r.Site, Code: r.Held,
				Because: r.HeldBecause}, m.Size))
		case r.Outcome == "":
			open = append(open, reason.Text(string(r.Site)))
		case r.Outcome == ledger.OutcomeDelivered:
			answers = append(answers, reason.New("site-has-it", "site", r.Site))
		default:
			answers = append(answers, m.lackedBy(r))
		}
	}
	return reason.New("waits-at-hub", "open", open, "since", m.Published, "answers", answers,
		"ends", orNone(m.Expires))
}

// lackedBy returns the final answer of a recipient without the message, and the way to send it
// there again.
func (m Message) lackedBy(r Recipient) reason.Reason {
	c := ledger.Outcome{Outcome: r.Outcome, Code: r.Code}
	switch {
	case isRemoved(c):
		return reason.New("site-removed", "site", r.Site, "message", m.ID)
	case isUnplaced(c), r.Code == forgottenByHub:
		return reason.New("site-never-gets-it", "site", r.Site)
	}
	return reason.New("site-lacks-it", "site", r.Site, "message", m.ID)
}
