package badgerspool

import (
	"errors"
	"strings"
	"testing"
)

// TestEventWithoutItsRows: Events fails if a row is missing or damaged. It skips no event.
func TestEventWithoutItsRows(t *testing.T) {
	for name, test := range map[string]struct {
		damage func(g *group, seq uint64)
		want   string
	}{
		"no delivery": {
			func(g *group, seq uint64) { g.del(deliveryKey(seq, 0)) },
			"receipt of event 1: its delivery is missing",
		},
		"a damaged delivery": {
			func(g *group, seq uint64) {
				g.set(deliveryKey(seq, 0), []byte{stateSettled, 0x80})
			},
			"receipt of event 1",
		},
		"no event": {
			func(g *group, seq uint64) { g.del(eventKey("FL-LAB", 1)) },
			"event 1 of FL-LAB is missing",
		},
		"a damaged event": {
			func(g *group, seq uint64) {
				g.set(eventKey("FL-LAB", 1), []byte{eventSettled})
			},
			"read event 1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := mustOpen(t, t.TempDir(), Options{}, realSeams())
			e := testEnvelope(filler(500))
			p, err := s.Publish(t.Context(), e)
			must(t, err)
			settleMany(t, s, "ca_rc_queue", 1, 1)
			settleMany(t, s, "sf_rc_queue", 1, 1)
			must(t, s.submit(&change{ctx: t.Context(), entries: 1, apply: func(g *group) error {
				test.damage(g, p.Sequence)
				return nil
			}}))
			found, _, err := s.Events(t.Context(), e.Sender, 0, 1<<20)
			if !errors.Is(err, errCorrupt) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %d events and the error %v, want %q", len(found), err, test.want)
			}
		})
	}
}
