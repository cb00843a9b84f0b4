package badgerspool

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	badger "github.com/dgraph-io/badger/v4"

	"sealpost/spool"
)

// TestLettersAfterAFailedCommit lets the commit of each change of a dead letter fail, before it
// took effect and after. The store is whole when it is opened again, and a repetition succeeds.
func TestLettersAfterAFailedCommit(t *testing.T) {
	letter := func(e spool.Envelope) spool.Letter {
		return spool.Letter{Envelope: e.ID, Recipient: "CA-RC"}
	}
	for name, change := range map[string]func(context.Context, *Spool, spool.Envelope) error{
		"requeue": func(ctx context.Context, s *Spool, e spool.Envelope) error {
			return s.Requeue(ctx, letter(e))
		},
		"discard": func(ctx context.Context, s *Spool, e spool.Envelope) error {
			_, err := s.Discard(ctx, letter(e))
			return err
		},
		"discard by age": func(ctx context.Context, s *Spool, e spool.Envelope) error {
			_, err := s.DiscardBefore(ctx, time.Now().Add(time.Hour))
			return err
		},
		"kill": func(ctx context.Context, s *Spool, e spool.Envelope) error {
			_, err := s.Kill(ctx, "sf_rc_queue", "removed")
			return err
		},
		"kill from": func(ctx context.Context, s *Spool, e spool.Envelope) error {
			_, err := s.KillFrom(ctx, e.Sender, "sender-removed")
			return err
		},
		"settle": func(ctx context.Context, s *Spool, e spool.Envelope) error {
			p, err := s.Publish(ctx, e)
			if err != nil {
				return err
			}
			return settleOne(ctx, s, spool.Delivery{Sender: e.Sender, Messages: e.Messages,
				DeliveryID: spool.DeliveryID{Incarnation: s.Incarnation(), Queue: "ca_rc_queue",
					Sequence: p.Sequence, Envelope: e.ID}})
		},
	} {
		for _, fault := range []func(*badger.Txn, uint64) error{
			func(*badger.Txn, uint64) error { return errInjected },
			func(txn *badger.Txn, version uint64) error {
				return errors.Join(commit(txn, version), errInjected)
			},
		} {
			t.Run(name, func(t *testing.T) { failLetter(t, fault, change) })
		}
	}
}

func failLetter(t *testing.T, fault func(*badger.Txn, uint64) error,
	change func(context.Context, *Spool, spool.Envelope) error) {
	dir, ctx := filepath.Join(t.TempDir(), "spool"), t.Context()
	sm, now := realSeams(), commit
	sm.commit = func(txn *badger.Txn, version uint64) error { return now(txn, version) }
	s := mustOpen(t, dir, Options{}, sm)
	must(t, s.Limit(ctx, spool.Quotas{Dead: 1 << 30}))
	var e spool.Envelope
	for _, size := range []int{300, spool.SmallSize + 1} {
		e = testEnvelope(filler(size))
		must(t, publishAny(ctx, s, e, filler(size)))
	}
	_, err := s.Kill(ctx, "ca_rc_queue", "removed")
	must(t, err)
	now = fault
	if err := change(ctx, s, e); !errors.Is(err, spool.ErrUncertain) {
		t.Fatalf("got %v", err)
	}
	must(t, ignoreUncertain(s.Close()))
	now = commit
	s = mustOpen(t, dir, Options{}, sm)
	must(t, s.Limit(ctx, spool.Quotas{Dead: 1 << 30}))
	mustAudit(t, s)
	must(t, change(ctx, s, e))
	mustAudit(t, s)
	must(t, change(ctx, s, e))
	mustAudit(t, s)
	for _, queue := range []string{"ca_rc_queue", "sf_rc_queue"} {
		_, err = s.Kill(ctx, queue, "removed")
		must(t, err)
	}
	_, err = s.DiscardBefore(ctx, time.Now().Add(time.Hour))
	must(t, err)
	mustAudit(t, s)
	expectEmpty(t, s)
	must(t, s.Close())
	mustAudit(t, mustOpen(t, dir, Options{}, realSeams()))
}
