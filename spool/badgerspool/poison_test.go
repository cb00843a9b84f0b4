package badgerspool

import (
	"errors"
	"fmt"
	"testing"
	"time"

	badger "github.com/dgraph-io/badger/v4"

	"sealpost/internal/id"
	"sealpost/spool"
)

// TestPoison lets a commit fail, before it took effect and after. From then on every call answers
// "uncertain". After opening again a repetition gets the outcome.
func TestPoison(t *testing.T) {
	for _, after := range []bool{false, true} {
		t.Run(fmt.Sprintf("after=%t", after), func(t *testing.T) {
			dir := t.TempDir()
			sm, fail := realSeams(), make(chan struct{})
			sm.commit = func(txn *badger.Txn, version uint64) error {
				select {
				case <-fail:
				default:
					return commit(txn, version)
				}
				if after {
					if err := commit(txn, version); err != nil {
						return err
					}
				}
				return errInjected
			}
			s := mustOpen(t, dir, Options{}, sm)
			before := testEnvelope(filler(500))
			if err := publishAny(t.Context(), s, before, nil); err != nil {
				t.Fatal(err)
			}
			waiting := make(chan error, 1)
			go func() {
				_, err := s.Lease(t.Context(), spool.LeaseRequest{Queue: "no_queue", Session: "a",
					Max: 1, Duration: time.Minute})
				waiting <- err
			}()
			close(fail)
			e := testEnvelope(filler(600))
			poisoned(t, s, e, waiting)
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			s = mustOpen(t, dir, Options{}, realSeams())
			mustAudit(t, s)
			ks, err := s.Known(t.Context(), e.Sender, []id.Envelope{before.ID, e.ID})
			if err != nil || ks[0].State != spool.StateWaiting ||
				(ks[1].State == spool.StateWaiting) != after {
				t.Fatalf("known are %+v, %v", ks, err)
			}
			p, err := s.Publish(t.Context(), e)
			if err != nil || after && p != ks[1].Published {
				t.Fatalf("the repetition gets %+v, %v", p, err)
			}
			mustAudit(t, s)
		})
	}
}

// poisoned expects that the store has nothing more to say.
func poisoned(t *testing.T, s *Spool, e spool.Envelope, waiting chan error) {
	t.Helper()
	if _, err := s.Publish(t.Context(), e); !errors.Is(err, spool.ErrUncertain) {
		t.Fatalf("publish answers %v", err)
	}
	select {
	case <-s.Poisoned():
	default:
		t.Fatal("nobody is told of the poison")
	}
	if err := <-waiting; !errors.Is(err, spool.ErrUncertain) {
		t.Fatalf("a waiting call is told %v", err)
	}
	for name, call := range map[string]func() error{
		"publish": func() error { _, err := s.Publish(t.Context(), e); return err },
		"known": func() error {
			_, err := s.Known(t.Context(), e.Sender, []id.Envelope{e.ID})
			return err
		},
		"put": func() error {
			_, err := s.Put(t.Context(), "a", "b", 0, []byte("c"))
			return err
		},
		"queues": func() error { _, err := s.Queues(t.Context()); return err },
	} {
		if err := call(); !errors.Is(err, spool.ErrUncertain) {
			t.Errorf("%s answers %v", name, err)
		}
	}
}
