package outbox

import (
	"time"

	"sealpost/agent/ledger"
	"sealpost/internal/words"
)

// lateAfter is how long a message may wait at the hub before an operator is told the consequences.
const lateAfter = 10 * time.Minute

// waiting lists the messages of a tray that wait at the hub, oldest first. It needs the tray's
// counts.
func (t *TrayStatus) waiting(tx *ledger.Tx) ([]ledger.Outgoing, error) {
	if t.Counts[ledger.Published] == 0 {
		return nil, nil // looking for the first of a tray may pass over many of another
	}
	return tx.Unanswered(t.Name, few)
}

// IsLate reports whether a message has waited at the hub for long.
func (s Standing) IsLate(now time.Time) bool {
	return len(s.Waiting) > 0 && now.Sub(s.Waiting[0].Published) > lateAfter
}

// WaitsFor returns a sentence about a message at the hub: the recipients that have not answered,
// and the answers of the others.
func (m Message) WaitsFor() string {
	var open, have, lack []string
	for _, r := range m.Recipients {
		site := string(r.Site)
		switch {
		case r.Outcome == "" && !r.Doubt.IsZero():
			open = append(open, words.ReceiptNotBelieved(site))
		case r.Outcome == "":
			open = append(open, site)
		case r.Outcome == ledger.OutcomeDelivered:
			have = append(have, site)
		default:
			lack = append(lack, site)
		}
	}
	return words.WaitsAtHub(open, m.Published, have, lack)
}
