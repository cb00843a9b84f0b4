package badgerspool

import (
	"errors"
	"path/filepath"
	"testing"

	badger "github.com/dgraph-io/badger/v4"

	"sealpost/internal/id"
	"sealpost/spool"
)

// A commit that took effect and still failed names content that this process cannot see a use for.
// The content stays: the envelope is there when the spool is opened again.
func TestContentOfAnUncertainCommitStays(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	sm, fail := realSeams(), false
	sm.commit = func(txn *badger.Txn, version uint64) error {
		if err := commit(txn, version); err != nil || !fail {
			return err
		}
		return errInjected
	}
	s := mustOpen(t, dir, Options{}, sm)
	e := testEnvelope(filler(spool.InlineSize + 1))
	e.Content = filler(spool.InlineSize + 1)
	fail = true
	if _, err := s.Publish(t.Context(), e); !errors.Is(err, spool.ErrUncertain) {
		t.Fatalf("got %v", err)
	}
	if err := s.collectOrphans(t.Context()); !errors.Is(err, spool.ErrUncertain) {
		t.Errorf("orphans are collected all the same: %v", err)
	}
	must(t, ignoreUncertain(s.Close()))
	fail = false
	s = mustOpen(t, dir, Options{}, sm)
	mustAudit(t, s)
	known, err := s.Known(t.Context(), e.Sender, []id.Envelope{e.ID})
	if err != nil || len(known) != 1 || known[0].State != spool.StateWaiting {
		t.Errorf("known: %+v, %v", known, err)
	}
}

func ignoreUncertain(err error) error {
	if errors.Is(err, spool.ErrUncertain) {
		return nil
	}
	return err
}
