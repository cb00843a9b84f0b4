package badgerspool

import (
	"context"
	"fmt"
	"time"

	badger "github.com/dgraph-io/badger/v4"

	"sealpost/internal/id"
	"sealpost/spool"
	"sealpost/spool/badgerspool/queue"
)

// A delivery on hold stands among the released ones of its sender, at a time that never comes. Its
// entry has the beginning and the words of the hold.

// Hold implements spool.Holds.
func (s *Spool) Hold(ctx context.Context, l spool.Letter, because string) (changed bool,
	err error) {
	if len(because) > spool.MaxBecause {
		return false, fmt.Errorf("hold %.40s: %w: %d bytes of words", l.Envelope, spool.ErrInvalid,
			len(because))
	}
	changed, err = s.changeHold(ctx, l, spool.AuditHeld, func(g *group, en entry, _ *envelope,
		wasHeld bool) (entry, int64) {
		if !wasHeld {
			en.held = max(1, g.now.UnixMilli())
		}
		en.because = because
		return en, queue.Held
	})
	if err != nil {
		return false, fmt.Errorf("hold %.40s for %.40s: %w", l.Envelope, l.Recipient, err)
	}
	return changed, nil
}

// Unhold implements spool.Holds.
func (s *Spool) Unhold(ctx context.Context, l spool.Letter) error {
	_, err := s.changeHold(ctx, l, spool.AuditUnheld, func(g *group, en entry, e *envelope,
		wasHeld bool) (entry, int64) {
		if !wasHeld {
			return en, 0
		}
		now, since := g.now.UnixMilli(), e.spooled.UnixMilli()
		if en.since != 0 {
			since = en.since
		}
		// the time on hold does not count, unless the clock was set back
		en.since = since + max(0, now-en.held)
		en.held, en.because = 0, ""
		return en, max(1, now)
	})
	if err != nil {
		return fmt.Errorf("end the hold of %.40s for %.40s: %w", l.Envelope, l.Recipient, err)
	}
	return nil
}

// changeHold changes a waiting delivery in the writer. The function returns the new entry and time;
// 0: nothing changes.
func (s *Spool) changeHold(ctx context.Context, l spool.Letter, op string,
	next func(g *group, en entry, e *envelope, wasHeld bool) (entry, int64)) (changed bool,
	err error) {
	text := auditText(spool.AuditEntry{Op: op, AuditNote: spool.NoteOf(ctx), Envelope: l.Envelope,
		Recipient: l.Recipient})
	apply := func(g *group, n ending, old *delivery, _ *finals) error {
		changed = false
		if old.isFinal() {
			return spool.ErrConflict
		}
		from := queue.Position{From: n.e.sender, Seq: n.e.seq}
		if old != nil {
			from.Due = old.due
		}
		value, err := g.get(entryAt(n.queue.name, from))
		if err != nil {
			return err
		}
		before, err := decodeEntry(value)
		if err != nil {
			return err
		}
		en, due := next(g, before, n.e, old.isHeld())
		if due == 0 || en == before {
			return nil
		}
		n.put(g, old, from, en, due)
		g.audit(text)
		changed = true
		return nil
	}
	err = s.changeLetter(ctx, l, len(text)+spool.MaxBecause, apply)
	return changed, err
}

// put moves a waiting delivery to a place among the released ones.
func (n ending) put(g *group, old *delivery, from queue.Position, en entry, due int64) {
	to := queue.Position{From: from.From, Due: due, Seq: from.Seq}
	rec := &delivery{state: stateReleased, firstLeased: n.queue.FirstLeased(from)}
	if old != nil {
		*rec = *old
	} else {
		g.figures(n.queue).released++
	}
	rec.due, rec.attempts, rec.time, rec.code = due, en.attempts, g.now, ""
	if due == queue.Held {
		rec.code = spool.CodeOnHold
	}
	g.next()
	g.del(entryAt(n.queue.name, from))
	g.set(entryAt(n.queue.name, to), en.encode())
	g.set(deliveryKey(n.e.seq, n.index), rec.encode())
	c := g.lane(n.queue, from.From)
	c.left++
	c.offer(to)
	g.after = append(g.after, func() { n.queue.Moved(from, to) })
}

// Held implements spool.Holds.
func (s *Spool) Held(ctx context.Context, most int) (found []spool.HeldDelivery, err error) {
	if most < 1 {
		return nil, fmt.Errorf("deliveries on hold: %w: at most %d", spool.ErrInvalid, most)
	}
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	for _, q := range all(s, s.queues) {
		for _, from := range q.Senders() {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			err := s.view(func(txn *badger.Txn) error {
				return deliveries{txn, q.name}.Scan(queue.ByTime,
					queue.Position{From: from, Due: queue.Held},
					func(p queue.Position, value []byte) (bool, error) {
						if len(found) >= most {
							return false, nil
						}
						h, err := heldDelivery(txn, p, value)
						found = append(found, h)
						return err == nil, err
					})
			})
			if err != nil {
				return nil, fmt.Errorf("deliveries on hold: %w", err)
			}
		}
	}
	return found, nil
}

func heldDelivery(txn *badger.Txn, p queue.Position, value []byte) (h spool.HeldDelivery,
	err error) {
	en, err := decodeEntry(value)
	if err != nil {
		return h, err
	}
	e, err := readEnvelope(txn, p.From, p.Seq)
	if err != nil {
		return h, err
	}
	return spool.HeldDelivery{
		Letter: spool.Letter{Envelope: tohex[id.Envelope](e.id[:]),
			Recipient: e.targets[en.target].Site},
		Sender: e.sender, Messages: e.messages, Spooled: e.spooled,
		Since: time.UnixMilli(en.held).UTC(), Because: en.because}, nil
}
