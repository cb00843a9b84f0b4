package outbox

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sealpost/agent/ledger"
)

// The hub has deleted the records of an envelope that this site has not finished. The ledger is an
// older copy, or the answer to the publish was lost. Nothing is sent again, and the note says so.
func TestAnEnvelopeThatTheHubHasForgotten(t *testing.T) {
	identity := labIdentity(t)
	route := modelRoute(t, identity)
	for _, lost := range []bool{false, true} {
		for _, size := range []int{10, smallContent + 1} {
			t.Run(fmt.Sprintf("answer lost=%t/%d bytes", lost, size), func(t *testing.T) {
				m := newModel(t, t.TempDir(), identity, route)
				t.Cleanup(func() { m.options.Ledger.Close() })
				m.drop("data.csv", size)
				if !lost {
					m.lives(death{}, func(*Outbox) {}, m.isSent)
				}
				for call := 1; len(m.hub.published) == 0; call++ {
					m.lives(death{call: call}, func(*Outbox) {}, m.isSent)
				}
				if m.isSent() == lost {
					t.Fatalf("before, the row is %s", m.rows())
				}
				m.hub.isOld = true
				isFiled := func() bool {
					r := m.list()[0]
					return r.State == ledger.Failed && r.Filed
				}
				for range 2 {
					m.lives(death{}, func(*Outbox) {}, isFiled)
				}
				notes, err := filepath.Glob(filepath.Join(m.dir, "failed", "*", "WHY.txt"))
				if err != nil || len(notes) != 1 {
					t.Fatalf("notes are %v, %v", notes, err)
				}
				note, err := os.ReadFile(notes[0])
				if err != nil || !strings.Contains(string(note), "CA-RC may have it") {
					t.Errorf("the note is %s, %v", note, err)
				}
				if len(m.hub.published) != 1 {
					t.Errorf("%d envelopes were published", len(m.hub.published))
				}
			})
		}
	}
}
