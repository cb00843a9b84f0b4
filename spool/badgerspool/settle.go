package badgerspool

import (
	"context"
	"fmt"
	"math/bits"
	"time"

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
		return spool.Settled{}, fmt.Errorf("settle %s in %s: %w", st.Delivery.Envelope, st.Delivery.Queue, err)
	}
	return settled, nil
}

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
	rec, invalid := settledRecord(e, st) // told only if the delivery is not final yet
	end := s.ending(e, index)
	var answer spool.Settled
	c := &change{ctx: ctx, need: needFloor, entries: 12, bytes: len(st.Receipt) + 12*(entryCost+64) + spool.MaxMessages*(maxCode+4)}
	c.apply = func(g *group) error {
		old, err := end.begin(g)
		if err != nil {
			return err
		}
		if old.final() {
			answer = spool.Settled{Time: old.time}
			return nil
		}
		if invalid != nil {
			return invalid
		}
		answer = spool.Settled{Time: g.now, First: true}
		return end.finish(g, old, rec)
	}
	if err := s.submit(c); err != nil {
		return spool.Settled{}, err
	}
	return answer, nil
}

const maxCode = 64 // bytes of a refusal's or a release's code

// settledRecord checks that the settlement names every message once, and makes the delivery's record of it.
func settledRecord(e *envelope, st spool.Settlement) (*delivery, error) {
	if st.Receipt == "" || len(st.Receipt) > spool.MaxReceipt {
		return nil, fmt.Errorf("%w: a receipt of %d bytes", spool.ErrInvalid, len(st.Receipt))
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
			return nil, fmt.Errorf("%w: outcome %.20q with code %.40q", spool.ErrInvalid, o.Outcome, o.Code)
		}
	}
	if len(places) > 0 {
		return nil, fmt.Errorf("%w: %d of %d are missing", spool.ErrIncomplete, len(places), len(e.messages))
	}
	return rec, nil
}

// ending makes one delivery final, whether settled or dead. Everything about it that can change is read in the writer.
type ending struct {
	s     *Spool
	e     *envelope
	index int
	queue *queue
	first *queue // carries the envelope's figures
	from  *site  // the sender, which is told
}

func (s *Spool) ending(e *envelope, index int) ending {
	return ending{s, e, index, s.queue(e.targets[index].Queue), s.queue(e.targets[0].Queue), s.site(e.sender)}
}

// begin reads what has become of the delivery so far; nil: it waits for the first time.
func (n ending) begin(g *group) (*delivery, error) {
	return readDelivery(g.txn, n.e.seq, n.index)
}

// finish takes the delivery out of its queue, tells the sender, and gives up the content when nobody needs it any more.
func (n ending) finish(g *group, old, rec *delivery) error {
	f, err := readFinals(g.txn, n.e.seq)
	if err != nil {
		return err
	}
	at := position{seq: n.e.seq}
	if old != nil {
		at.due, rec.attempts, rec.firstLeased = old.due, old.attempts, old.firstLeased
	}
	if rec.firstLeased.IsZero() {
		rec.firstLeased = n.queue.firstLeased(at)
	}
	commit := g.next()
	rec.time = g.now
	f.final |= 1 << n.index
	q := g.figures(n.queue)
	q.waiting--
	if old != nil {
		q.released--
	}
	kind := byte(eventSettled)
	if rec.state == stateDead {
		kind = eventDead
		f.dead |= 1 << n.index
		q.dead++
	} else {
		q.settled++
	}
	g.del(entryAt(n.queue.name, at))
	g.set(deliveryKey(n.e.seq, n.index), rec.encode())
	g.set(finalsKey(n.e.seq), f.encode())
	g.event(n.from, eventRecord{kind: kind, envelope: n.e.id, recipient: n.e.targets[n.index].Site, seq: n.e.seq, index: n.index, code: rec.code})
	if f.dead == 0 && bits.OnesCount64(f.final) == len(n.e.targets) {
		n.removeContent(g, commit)
	}
	g.after = append(g.after, func() { n.queue.gone(at) })
	return nil
}

func (n ending) removeContent(g *group, commit uint64) {
	g.figures(n.first).content -= n.e.size
	if n.e.small() {
		g.packed(n.e.at.pack, -1)
		return
	}
	if n.e.parts() > 1 {
		g.del(sumsKey(n.e.seq))
	}
	g.set(trashKey(commit), n.e.id[:])
	g.after = append(g.after, n.s.janitor.kick)
}

// Release implements spool.Spool.
func (s *Spool) Release(ctx context.Context, t spool.Token, nack spool.Nack) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	if nack.Delay < 0 || len(nack.Code) > maxCode {
		return fmt.Errorf("release: %w: delay %s, code %.40q", spool.ErrInvalid, nack.Delay, nack.Code)
	}
	q := s.tokenQueue(t)
	c := &change{ctx: ctx, need: needFloor, entries: 8, bytes: 8*(entryCost+96) + maxCode}
	c.apply = func(g *group) error { return q.release(g, t, nack) }
	if err := s.submit(c); err != nil {
		return fmt.Errorf("release: %w", err)
	}
	return nil
}

// release moves a leased delivery to where the released ones rest.
func (q *queue) release(g *group, t spool.Token, nack spool.Nack) error {
	it, err := q.detach(t, g.now)
	if err != nil {
		return err
	}
	from := it.position
	value, err := g.get(entryAt(q.name, from))
	if err != nil {
		return err
	}
	if value == nil { // settled or released before, in this very group
		return spool.ErrStale
	}
	e, err := decodeEntry(value)
	if err != nil {
		return err
	}
	rec, err := readDelivery(g.txn, from.seq, e.target)
	if err != nil {
		return err
	}
	if rec == nil {
		rec = &delivery{state: stateReleased, firstLeased: it.firstLeased}
		g.figures(q).released++
	}
	if !nack.NotAttempted {
		e.attempts++
	}
	to := position{due: max(1, g.now.Add(nack.Delay).UnixMilli()), seq: from.seq}
	rec.due, rec.attempts, rec.time, rec.code = to.due, e.attempts, g.now, nack.Code
	g.next()
	g.del(entryAt(q.name, from))
	g.set(entryAt(q.name, to), e.encode())
	g.set(deliveryKey(from.seq, e.target), rec.encode())
	g.figures(q).lower(to)
	g.after = append(g.after, func() { q.moved(from, to) })
	return nil
}

// detach ends a lease without offering its delivery again.
func (q *queue) detach(t spool.Token, now time.Time) (item, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l, err := q.held(t, now)
	if err != nil {
		return item{}, err
	}
	q.end(l)
	return *l.item, nil
}

// lower notes that the group has released a delivery to a place.
func (c *queueChange) lower(to position) {
	if c.lowest == (position{}) || to.before(c.lowest) {
		c.lowest = to
	}
}
