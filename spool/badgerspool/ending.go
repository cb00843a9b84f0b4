package badgerspool

import (
	"sealpost/spool"
	"sealpost/spool/badgerspool/queue"
)

// ending makes one delivery final: settled or dead. The writer reads everything about it that can
// change.
type ending struct {
	s     *Spool
	e     *envelope
	index int
	queue *storedQueue
	from  *site // the sender, which gets the event
	keeps bool  // a dead delivery becomes a dead letter
}

func (s *Spool) ending(e *envelope, index int) ending {
	return ending{s: s, e: e, index: index, queue: s.queue(e.targets[index].Queue),
		from: s.site(e.sender)}
}

// begin reads the delivery's record. It returns nil if the delivery waits for the first time.
func (n ending) begin(g *group) (*delivery, error) {
	if n.e.asOf < n.s.forgot { // it may have been forgotten since it was read
		v, err := g.get(envelopeKey(n.e.sender, n.e.seq))
		if err != nil {
			return nil, err
		}
		if v == nil {
			return nil, spool.ErrNotFound
		}
	}
	return readDelivery(g.txn, n.e.seq, n.index)
}

// finish takes the delivery out of its queue and adds an event for the sender. After the last
// delivery it releases the content, or keeps it for dead letters.
func (n ending) finish(g *group, old, rec *delivery) error {
	f, err := readFinals(g.txn, n.e.seq)
	if err != nil {
		return err
	}
	at := queue.Position{From: n.e.sender, Seq: n.e.seq}
	if old != nil {
		at.Due, rec.attempts, rec.firstLeased = old.due, old.attempts, old.firstLeased
	}
	if rec.firstLeased.IsZero() {
		rec.firstLeased = n.queue.FirstLeased(at)
	}
	commit := g.next()
	rec.time = g.now
	f.final |= 1 << n.index
	q := g.figures(n.queue)
	q.waiting--
	q.bytes -= n.e.size
	q.messages -= int64(len(n.e.messages))
	if old != nil {
		q.released--
	}
	kind := byte(eventSettled)
	if rec.state == stateDead {
		kind = eventDead
		f.dead |= 1 << n.index
		q.dead++
		if n.keeps {
			g.keep(n.e, n.index, &f)
		}
	} else {
		q.settled++
	}
	g.lane(n.queue, n.e.sender).left++
	g.del(entryAt(n.queue.name, at))
	g.set(deliveryKey(n.e.seq, n.index), rec.encode())
	n.tell(g, kind, rec.code, &f)
	if rec.entry == nil {
		rec.entry = rec.audit(n.e, n.index)
	}
	g.audit(rec.entry)
	if f.isFinal(n.e) {
		g.free(n.from, n.e)
		g.kept = g.kept.Plus(n.e.usage())
		if f.kept == 0 || g.kept.Bytes > n.s.holdings.quotas.Load().Dead {
			n.unkeep(g, commit, f.kept, &f)
		}
	}
	g.set(finalsKey(n.e.seq), f.encode())
	g.after = append(g.after, func() { n.queue.Gone(at) })
	return nil
}

// tell adds an event of the delivery for the sender, and notes its number.
func (n ending) tell(g *group, kind byte, code string, f *finals) {
	f.last = g.event(n.from, eventRecord{kind: kind, envelope: n.e.id,
		recipient: n.e.targets[n.index].Site, seq: n.e.seq, index: n.index, code: code})
}

// removeContent releases the content: its place in a pack, or its file by a row of trash.
func (n ending) removeContent(g *group, commit uint64) {
	if n.e.isSmall() {
		g.packed(n.e.at.Pack, -1)
		return
	}
	if n.e.parts() > 1 {
		g.del(sumsKey(n.e.seq))
	}
	g.set(trashKey(commit), n.e.id[:])
	g.after = append(g.after, n.s.janitor.kick)
}
