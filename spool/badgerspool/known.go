package badgerspool

import (
	"context"
	"errors"
	"fmt"

	badger "github.com/dgraph-io/badger/v4"

	"sealpost/internal/id"
	"sealpost/spool"
	"sealpost/spool/badgerspool/queue"
)

// Known implements spool.Spool.
func (s *Spool) Known(ctx context.Context, sender id.Site,
	envelopes []id.Envelope) ([]spool.Known, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	found := make([]spool.Known, 0, len(envelopes))
	for _, name := range envelopes {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		k, err := s.known(sender, name)
		if err != nil {
			return nil, fmt.Errorf("look for %s: %w", name, err)
		}
		found = append(found, k)
	}
	return found, nil
}

// known returns the state of one envelope. An envelope of another sender is unknown.
func (s *Spool) known(sender id.Site, name id.Envelope) (spool.Known, error) {
	k := spool.Known{Envelope: name, State: spool.StateUnknown}
	raw, ok := unhex(name)
	if !ok {
		return k, nil
	}
	err := s.view(func(txn *badger.Txn) error {
		e, err := lookup(txn, raw)
		if old := (forgotten{}); errors.As(err, &old) {
			if old.sender == sender {
				k.State = spool.StateForgotten
			}
			return nil
		}
		if err != nil || e == nil || e.sender != sender {
			return err
		}
		f, err := readFinals(txn, e.seq)
		if err != nil {
			return err
		}
		k.State = spool.StateWaiting
		if f.isFinal(e) {
			k.State = spool.StateFinal
		}
		k.Published = spool.Published{Incarnation: s.incarnation, Sequence: e.seq,
			Spooled: e.spooled}
		k.Results, k.Held, err = results(txn, e, f)
		return err
	})
	return k, err
}

// becauseOf returns the words of a delivery's hold.
func becauseOf(txn *badger.Txn, e *envelope, index int) (string, error) {
	value, err := get(txn, entryAt(e.targets[index].Queue,
		queue.Position{From: e.sender, Due: queue.Held, Seq: e.seq}))
	if err != nil {
		return "", err
	}
	en, err := decodeEntry(value)
	return en.because, err
}

// results collects the outcomes of the deliveries that are final, and the codes of those that were
// released.
func results(txn *badger.Txn, e *envelope,
	f finals) (found []spool.Result, held []spool.Held, err error) {
	for i, t := range e.targets {
		d, err := readDelivery(txn, e.seq, i)
		switch isFinal := f.final&(1<<i) != 0; {
		case err != nil:
			return nil, nil, err
		case isFinal && d == nil:
			return nil, nil, fmt.Errorf("%w: outcome for %s", errCorrupt, t.Site)
		case isFinal:
			found = append(found, spool.Result{Recipient: t.Site, Receipt: d.receipt,
				DeadCode: d.code, Time: d.time})
		case d != nil && d.code != "":
			one := spool.Held{Recipient: t.Site, Code: d.code}
			if d.isHeld() {
				if one.Because, err = becauseOf(txn, e, i); err != nil {
					return nil, nil, err
				}
			}
			held = append(held, one)
		}
	}
	return found, held, nil
}
