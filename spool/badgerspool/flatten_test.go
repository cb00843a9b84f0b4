package badgerspool

import (
	"testing"
	"time"

	badger "github.com/dgraph-io/badger/v4"

	"sealpost/internal/testkit"
)

// TestFlatten: after many deletions and a time without commits, Badger puts its tables into one
// level. Nothing is left there of the deleted keys.
func TestFlatten(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{}, realSeams())
	const n = 300
	publishMany(t, s, n, 30)
	must(t, s.Close()) // which writes a table
	s = mustOpen(t, dir, Options{}, realSeams())
	for _, queue := range queueNames {
		settleMany(t, s, queue, n, 30)
	}
	if got := s.drained.Load(); got < 2*n {
		t.Errorf("%d deleted keys are counted, and %d deliveries left their queues", got, 2*n)
	}
	must(t, s.Close())
	s = mustOpen(t, dir, Options{}, realSeams())
	waitForJanitor(t, s)
	flatten := func(drained int64, idle time.Duration) (levels int) {
		s.drained.Store(drained)
		s.lastEnd.Store(time.Now().Add(-idle).UnixNano())
		must(t, s.flatten())
		for _, level := range s.db.Levels() {
			levels += min(1, level.NumTables)
		}
		if flattened := s.drained.Load() == 0; flattened != (drained >= flattenFrom &&
			idle >= quietTime) {
			t.Errorf("%d deleted keys, %s without a commit: flattened is %t", drained, idle,
				flattened)
		}
		return levels
	}
	flatten(flattenFrom-1, time.Hour)
	flatten(flattenFrom, quietTime/2)
	if levels := flatten(flattenFrom, 2*quietTime); levels != 1 {
		t.Errorf("tables lie in %d levels", levels)
	}
	mustAudit(t, s)
}

// waitForJanitor waits until the janitor has removed all packs, and the writer has ended that
// commit.
func waitForJanitor(t *testing.T, s *Spool) {
	t.Helper()
	testkit.Eventually(t, "the janitor is done", func() bool {
		packs := 0
		must(t, s.view(func(txn *badger.Txn) error {
			return each(txn, keyPack, func(string, []byte) error { packs++; return nil })
		}))
		return packs == 0
	})
	must(t, s.submit(&change{ctx: t.Context(), need: needFloor,
		apply: func(*group) error { return nil }}))
}
