package badgerspool

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	badger "github.com/dgraph-io/badger/v4"

	"sealpost/internal/id"
	"sealpost/spool"
	"sealpost/spool/badgerspool/queue"
)

// A dead letter is a dead delivery whose content is kept. The bit in the record of finals says so.
// An envelope with letters has one row, whose number grows with the death of each.

// keep makes a dead delivery a letter.
func (g *group) keep(e *envelope, index int, f *finals) {
	if f.row != 0 {
		g.del(letterKey(f.row))
	}
	f.kept |= 1 << index
	f.row = g.commit
	g.set(letterKey(f.row), letter{seq: e.seq, died: g.now, sender: e.sender}.encode())
}

// unkeep ends letters of the envelope. Without a letter and a waiting delivery it releases the
// content. The caller writes the record of finals.
func (n ending) unkeep(g *group, commit, letters uint64, f *finals) {
	f.kept &^= letters
	if f.kept != 0 {
		return
	}
	if f.row != 0 {
		g.del(letterKey(f.row))
		f.row = 0
	}
	if f.isFinal(n.e) {
		g.kept = g.kept.Minus(n.e.usage())
		n.removeContent(g, commit)
	}
}

// outrank replaces the death of a delivery by its settlement.
func (n ending) outrank(g *group, old, rec *delivery) error {
	f, err := readFinals(g.txn, n.e.seq)
	if err != nil {
		return err
	}
	commit := g.next()
	rec.attempts, rec.firstLeased, rec.time = old.attempts, old.firstLeased, g.now
	f.dead &^= 1 << n.index
	if f.kept&(1<<n.index) != 0 {
		n.unkeep(g, commit, 1<<n.index, &f)
	}
	q := g.figures(n.queue)
	q.dead--
	q.settled++
	g.set(deliveryKey(n.e.seq, n.index), rec.encode())
	n.tell(g, eventSettled, "", &f)
	g.set(finalsKey(n.e.seq), f.encode())
	return nil
}

// letterOf finds the delivery that a letter names.
func (s *Spool) letterOf(l spool.Letter) (end ending, err error) {
	raw, ok := unhex(l.Envelope)
	if !ok {
		return end, spool.ErrNotFound
	}
	err = s.view(func(txn *badger.Txn) error {
		e, err := lookup(txn, raw)
		if errors.Is(err, spool.ErrForgotten) {
			return nil
		}
		if err != nil || e == nil {
			return err
		}
		for i, t := range e.targets {
			if t.Site == l.Recipient {
				end = s.ending(e, i)
			}
		}
		return nil
	})
	if err == nil && end.e == nil {
		err = spool.ErrNotFound
	}
	return end, err
}

// changeLetter runs a change of one delivery in the writer. It writes more bytes beside its rows.
func (s *Spool) changeLetter(ctx context.Context, l spool.Letter, more int,
	apply func(g *group, end ending, old *delivery, f *finals) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	end, err := s.letterOf(l)
	if err != nil {
		return err
	}
	c := &change{ctx: ctx, need: needFloor, entries: 12, bytes: more + 12*(entryCost+96)}
	c.apply = func(g *group) error {
		old, err := end.begin(g)
		if err != nil {
			return err
		}
		f, err := readFinals(g.txn, end.e.seq)
		if err != nil {
			return err
		}
		return apply(g, end, old, &f)
	}
	return s.submit(c)
}

// Requeue implements spool.Admin.
func (s *Spool) Requeue(ctx context.Context, l spool.Letter) error {
	err := s.changeLetter(ctx, l, 0, func(g *group, n ending, old *delivery, f *finals) error {
		switch {
		case !old.isFinal():
			return nil // it waits
		case old.state == stateSettled:
			return spool.ErrConflict
		case f.kept&(1<<n.index) == 0:
			return fmt.Errorf("%w: its content was removed", spool.ErrNotFound)
		}
		n.requeue(g, old, f)
		return nil
	})
	if err != nil {
		return fmt.Errorf("requeue %.40s for %.40s: %w", l.Envelope, l.Recipient, err)
	}
	return nil
}

// requeue puts a letter among the released deliveries of its queue, due now.
func (n ending) requeue(g *group, old *delivery, f *finals) {
	g.next()
	if f.isFinal(n.e) {
		g.kept = g.kept.Minus(n.e.usage())
		g.holdAgain(n.from, n.e)
	}
	f.final &^= 1 << n.index
	f.dead &^= 1 << n.index
	n.unkeep(g, g.commit, 1<<n.index, f)
	q := g.figures(n.queue)
	q.dead--
	q.waiting++
	q.released++
	q.bytes += n.e.size
	q.messages += int64(len(n.e.messages))
	to := queue.Position{From: n.e.sender, Due: max(1, g.now.UnixMilli()), Seq: n.e.seq}
	g.lane(n.queue, n.e.sender).offer(to)
	waits := n.e.entry(n.index)
	waits.since = to.Due
	g.set(entryAt(n.queue.name, to), waits.encode())
	g.set(deliveryKey(n.e.seq, n.index), (&delivery{state: stateReleased, due: to.Due,
		firstLeased: old.firstLeased, time: g.now}).encode())
	n.tell(g, eventRequeue, "", f)
	g.set(finalsKey(n.e.seq), f.encode())
	g.audit(auditText(spool.AuditEntry{Op: spool.AuditRequeued,
		Envelope: tohex[id.Envelope](n.e.id[:]), Recipient: n.e.targets[n.index].Site}))
	g.after = append(g.after, func() { n.queue.Moved(queue.Position{From: n.e.sender}, to) })
}

// Discard implements spool.Admin.
func (s *Spool) Discard(ctx context.Context, l spool.Letter) (changed bool, err error) {
	err = s.changeLetter(ctx, l, 0, func(g *group, n ending, old *delivery, f *finals) error {
		if old == nil || old.state != stateDead {
			return spool.ErrConflict
		}
		if changed = f.kept&(1<<n.index) != 0; changed {
			n.unkeep(g, g.next(), 1<<n.index, f)
			g.set(finalsKey(n.e.seq), f.encode())
		}
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("discard %.40s for %.40s: %w", l.Envelope, l.Recipient, err)
	}
	return changed, nil
}

// DiscardBefore implements spool.Admin. It works in steps; after an interruption the next call
// continues.
func (s *Spool) DiscardBefore(ctx context.Context, before time.Time) (int, error) {
	if err := s.enter(); err != nil {
		return 0, err
	}
	defer s.leave()
	n, err := s.discard(ctx, func(l letter) bool { return l.died.Before(before) })
	if err != nil {
		return n, fmt.Errorf("discard dead letters: %w", err)
	}
	return n, nil
}

// discard discards all letters of the envelopes that meet a condition. It returns the number of
// these envelopes.
func (s *Spool) discard(ctx context.Context, isMeant func(letter) bool) (discarded int, err error) {
	for row := uint64(0); row < math.MaxUint64; {
		var ends []ending
		err := s.view(func(txn *badger.Txn) error {
			last := uint64(math.MaxUint64)
			err := eachLetter(txn, row, upwards, func(at uint64, l letter) (bool, error) {
				if !isMeant(l) {
					return true, nil
				}
				e, err := readEnvelope(txn, l.sender, l.seq)
				if err != nil {
					return false, err
				}
				ends = append(ends, s.ending(e, 0))
				if len(ends) == killStep {
					last = at + 1
				}
				return len(ends) < killStep, nil
			})
			row = last
			return err
		})
		if err != nil || len(ends) == 0 {
			return discarded, err
		}
		n, err := s.discardStep(ctx, ends)
		discarded += n
		if err != nil {
			return discarded, err
		}
	}
	return discarded, nil
}

// discardStep discards all letters of some envelopes in one change.
func (s *Spool) discardStep(ctx context.Context, ends []ending) (discarded int, err error) {
	c := &change{ctx: ctx, need: needFloor, entries: 6 * len(ends),
		bytes: len(ends) * 6 * (entryCost + 64)}
	c.apply = func(g *group) error {
		for _, n := range ends {
			f, err := readFinals(g.txn, n.e.seq)
			if err != nil {
				return err
			}
			if f.kept == 0 {
				continue // requeued or discarded meanwhile
			}
			n.unkeep(g, g.next(), f.kept, &f)
			g.set(finalsKey(n.e.seq), f.encode())
			discarded++
		}
		return nil
	}
	if err := s.submit(c); err != nil {
		return 0, err
	}
	return discarded, nil
}

// DeadLetters implements spool.Admin.
func (s *Spool) DeadLetters(ctx context.Context, after spool.Cursor,
	max int) (found []spool.DeadLetter, next spool.Cursor, err error) {
	if max < 1 {
		return nil, 0, fmt.Errorf("dead letters: %w: at most %d", spool.ErrInvalid, max)
	}
	if err := s.enter(); err != nil {
		return nil, 0, err
	}
	defer s.leave()
	from := uint64(math.MaxUint64)
	if after != 0 {
		from = uint64(after) - 1
	}
	err = s.view(func(txn *badger.Txn) error {
		return eachLetter(txn, from, downwards, func(row uint64, l letter) (bool, error) {
			if len(found) >= max {
				next = spool.Cursor(row + 1)
				return false, nil
			}
			letters, err := s.lettersOf(txn, l)
			found = append(found, letters...)
			return true, err
		})
	})
	if err != nil {
		return nil, 0, fmt.Errorf("dead letters: %w", err)
	}
	return found, next, nil
}

// lettersOf returns the letters of one envelope.
func (s *Spool) lettersOf(txn *badger.Txn, l letter) (letters []spool.DeadLetter, err error) {
	e, err := readEnvelope(txn, l.sender, l.seq)
	if err != nil {
		return nil, err
	}
	f, err := readFinals(txn, l.seq)
	if err != nil {
		return nil, err
	}
	for i, t := range e.targets {
		if f.kept&(1<<i) == 0 {
			continue
		}
		d, err := readDelivery(txn, l.seq, i)
		if err != nil {
			return nil, err
		}
		letters = append(letters, spool.DeadLetter{
			Letter: spool.Letter{Envelope: tohex[id.Envelope](e.id[:]), Recipient: t.Site},
			Sender: e.sender, Queue: t.Queue, Messages: e.messages, Size: e.size,
			Spooled: e.spooled, Died: d.time, Code: d.code, Attempts: d.attempts})
	}
	return letters, nil
}

// direction is the order in which rows are read.
type direction bool

// The directions.
const (
	upwards   direction = false
	downwards direction = true
)

// eachLetter calls f with the rows of letters from a number on, until it returns false.
func eachLetter(txn *badger.Txn, from uint64, d direction,
	f func(row uint64, l letter) (bool, error)) error {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{keyLetter}, Reverse: bool(d)})
	defer it.Close()
	for it.Seek(letterKey(from)); it.Valid(); it.Next() {
		key := decoder{data: it.Item().Key()[1:]}
		v, err := it.Item().ValueCopy(nil)
		if err != nil {
			return err
		}
		l, err := decodeLetter(v)
		if err != nil {
			return err
		}
		if more, err := f(key.fixed(), l); !more || err != nil {
			return err
		}
	}
	return nil
}
