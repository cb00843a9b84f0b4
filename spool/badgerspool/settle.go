package badgerspool

import (
	"context"
	"fmt"

	badger "github.com/dgraph-io/badger/v4"

	"sealpost/internal/id"
	"sealpost/spool"
)

// Settle implements spool.Spool.
func (s *Spool) Settle(ctx context.Context, st spool.Settlement) (spool.Settled, error) {
	if err := s.enter(); err != nil {
		return spool.Settled{}, err
	}
	defer s.leave()
	settled, err := s.settle(ctx, st)
	if err != nil {
		return spool.Settled{}, fmt.Errorf("settle %s in %s: %w", st.Delivery.Envelope,
			st.Delivery.Queue, err)
	}
	return settled, nil
}

// settle records the outcomes, unless the delivery is settled. Then it returns the first time.
func (s *Spool) settle(ctx context.Context, st spool.Settlement) (spool.Settled, error) {
	var e *envelope
	var index int
	err := s.view(func(txn *badger.Txn) (err error) {
		e, index, err = s.identify(txn, st.Delivery)
		return err
	})
	if err != nil {
		return spool.Settled{}, err
	}
	rec, invalid := settledRecord(e, st) // told only if the delivery is not settled yet
	if invalid == nil {
		rec.entry = rec.audit(e, index)
	}
	end := s.ending(e, index)
	var answer spool.Settled
	c := &change{ctx: ctx, need: needFloor, entries: 12,
		bytes: len(st.Receipt) + 12*(entryCost+64) + auditBytes + spool.MaxMessages*(maxCode+4)}
	c.apply = func(g *group) error {
		old, err := end.begin(g)
		if err != nil {
			return err
		}
		if old != nil && old.state == stateSettled {
			answer = spool.Settled{Time: old.time}
			return nil
		}
		if invalid != nil {
			return invalid
		}
		answer = spool.Settled{Time: g.now, First: true}
		if old.isFinal() {
			return end.outrank(g, old, rec)
		}
		return end.finish(g, old, rec)
	}
	if err := s.submit(c); err != nil {
		return spool.Settled{}, err
	}
	return answer, nil
}

const maxCode = 64 // bytes of a refusal's or a release's code

// settledRecord checks that the settlement names every message once, and makes the delivery's
// record of it.
func settledRecord(e *envelope, st spool.Settlement) (*delivery, error) {
	if st.Receipt == "" || len(st.Receipt) > spool.MaxReceipt {
		return nil, fmt.Errorf("%w: a receipt of %d bytes", spool.ErrInvalid, len(st.Receipt))
	}
	if st.Sender != e.sender {
		return nil, fmt.Errorf("%w: the envelope is not one of %.32q", spool.ErrInvalid, st.Sender)
	}
	places := make(map[id.UID]int, len(e.messages))
	for i, m := range e.messages {
		places[m.UID] = i
	}
	rec := &delivery{state: stateSettled, receipt: st.Receipt, refused: make(map[int]string)}
	for _, o := range st.Outcomes {
		i, ok := places[o.UID]
		if !ok || e.messages[i].ID != o.Message {
			return nil, fmt.Errorf("%w: %s is not open in it", spool.ErrIncomplete, o.UID)
		}
		delete(places, o.UID)
		switch {
		case o.Outcome == spool.OutcomeDelivered && o.Code == "":
		case o.Outcome == spool.OutcomeRefused && o.Code != "" && len(o.Code) <= maxCode:
			rec.refused[i] = o.Code
		default:
			return nil, fmt.Errorf("%w: outcome %.20q with code %.40q", spool.ErrInvalid, o.Outcome,
				o.Code)
		}
	}
	if len(places) > 0 {
		return nil, fmt.Errorf("%w: %d of %d are missing", spool.ErrIncomplete, len(places),
			len(e.messages))
	}
	return rec, nil
}
