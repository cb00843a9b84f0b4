package outbox

import (
	"testing"
	"time"

	"sealpost/agent/ledger"
	"sealpost/internal/id"
)

// A message ends undelivered at the earliest end of the recipients that have not answered. Some
// have a time of their own.
func TestTheNearestEnd(t *testing.T) {
	sent := time.Now().Add(-9 * time.Hour)
	o := &Outbox{}
	o.HubExpires(20*time.Hour, map[id.Site]time.Duration{"CA-RC": 10 * time.Hour,
		"NY-RC": 12 * time.Hour, "SF-RC": 0})
	for _, tc := range []struct {
		sites    []id.Site // of which the first has answered
		expected time.Duration
	}{
		{[]id.Site{"LA-RC", "SF-RC", "LA-RC"}, 0},
		{[]id.Site{"CA-RC", "NY-RC", "SF-RC"}, 12 * time.Hour},
		{[]id.Site{"SF-RC", "NY-RC", "CA-RC"}, 10 * time.Hour},
	} {
		m := Message{State: ledger.Published, Published: sent}
		for i, site := range tc.sites {
			r := Recipient{Site: site}
			if i == 0 {
				r.Outcome = ledger.OutcomeDelivered
			}
			m.Recipients = append(m.Recipients, r)
		}
		list := []Message{m}
		o.expiring(list)
		if got := list[0].Expires; tc.expected == 0 && !got.IsZero() ||
			tc.expected > 0 && !got.Equal(sent.Add(tc.expected)) {
			t.Errorf("%v ends %s after it was sent", tc.sites, got.Sub(sent))
		}
	}
}
