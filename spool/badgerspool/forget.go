package badgerspool

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	badger "github.com/dgraph-io/badger/v4"

	"sealpost/spool"
)

// forgetEntries closes a step of Forget, in keys. One envelope more may be in it.
const forgetEntries = 1500

// Forget implements spool.Admin. It walks the events of each site from the oldest on. The newest
// event of an envelope ends the envelope, too.
func (s *Spool) Forget(ctx context.Context, r spool.Retention) (spool.Forgotten, error) {
	if err := s.enter(); err != nil {
		return spool.Forgotten{}, err
	}
	defer s.leave()
	s.forgetting.Lock()
	defer s.forgetting.Unlock()
	sites := all(s, s.sites)
	slices.SortFunc(sites, func(a, b *site) int { return cmp.Compare(a.name, b.name) })
	w := oblivion{s: s, Retention: r}
	for len(sites) > 0 {
		isDone, err := w.look(sites[0])
		if err != nil {
			return w.done, fmt.Errorf("forget events of %s: %w", sites[0].name, err)
		}
		if isDone {
			sites = sites[1:]
		}
		if w.entries >= forgetEntries || len(sites) == 0 {
			if err := w.commit(ctx); err != nil {
				return w.done, fmt.Errorf("forget events: %w", err)
			}
		}
	}
	return w.done, nil
}

// oblivion is a call of Forget, with the step that it gathers.
type oblivion struct {
	s *Spool
	spool.Retention
	done spool.Forgotten

	parts   []oldEvents
	entries int
}

// oldEvents are the events of one site in a step, with the envelopes that end with them.
type oldEvents struct {
	st         *site
	from, upTo uint64 // after the one, up to the other
	envelopes  []oldEnvelope
}

// oldEnvelope is a final envelope to forget.
type oldEnvelope struct {
	*envelope
	last uint64 // its newest event
}

// look adds the old events of a site to the step. It returns false if the step is full.
func (w *oblivion) look(st *site) (isDone bool, err error) {
	f, read := st.load(), st.readUpTo()
	isRead := read > f.read
	p := oldEvents{st: st, from: f.forgotten, upTo: f.forgotten}
	isDone = f.last == f.forgotten
	if !isDone {
		if w.IsGone != nil && w.IsGone(st.name) {
			read = math.MaxUint64
		}
		err = w.s.view(func(txn *badger.Txn) error {
			isDone, err = w.walk(txn, &p, f.last, read)
			return err
		})
	}
	if p.upTo > p.from || isRead { // the row of the site has both numbers
		w.parts = append(w.parts, p)
		w.entries++
	}
	return isDone, err
}

// walk reads the events of a site up to the last one, or one that stays. Their numbers have no gap.
// An iterator would read ahead, and pass over deleted rows.
func (w *oblivion) walk(txn *badger.Txn, p *oldEvents, last, read uint64) (isDone bool, err error) {
	name := p.st.name
	for n := p.from + 1; n <= last; n++ {
		if w.entries >= forgetEntries {
			return false, nil
		}
		v, err := get(txn, eventKey(name, n))
		if err != nil {
			return false, err
		}
		e, err := decodeEvent(v)
		if err != nil {
			return false, fmt.Errorf("read event %d: %w", n, err)
		}
		stays := !e.time.Before(w.Before)
		if !stays && n > read {
			stays = true
			w.done.Unread = append(w.done.Unread, name)
		}
		if !stays {
			if stays, err = w.end(txn, p, n, e); err != nil {
				return false, err
			}
		}
		if stays {
			if w.done.Oldest.IsZero() || e.time.Before(w.done.Oldest) {
				w.done.Oldest = e.time
			}
			return true, nil
		}
		p.upTo = n
		w.entries++
	}
	return true, nil
}

// end adds the envelope of an event to the step, if the event is its newest and it is final. It
// returns true if the event stays, because the envelope has a dead letter.
func (w *oblivion) end(txn *badger.Txn, p *oldEvents, n uint64, ev eventRecord) (stays bool,
	err error) {
	if ev.kind == eventRoute {
		return false, nil
	}
	f, err := readFinals(txn, ev.seq)
	if err != nil || f.last != n {
		return false, err
	}
	e, err := readEnvelope(txn, p.st.name, ev.seq)
	if err != nil || !f.isFinal(e) {
		return false, err
	}
	if f.kept != 0 {
		return true, nil
	}
	p.envelopes = append(p.envelopes, oldEnvelope{e, n})
	w.entries += 3 + 2*len(e.targets) + 2*len(e.messages)
	return false, nil
}

// commit forgets the events and envelopes of the step, and begins the next one.
func (w *oblivion) commit(ctx context.Context) error {
	if len(w.parts) == 0 {
		return nil
	}
	events, envelopes := 0, 0
	c := &change{ctx: ctx, need: needFloor, entries: w.entries + len(w.parts),
		bytes: (w.entries + len(w.parts)) * (entryCost + 96)}
	c.apply = func(g *group) error {
		g.next()
		for _, p := range w.parts {
			for _, e := range p.envelopes {
				isGone, err := g.forget(e)
				if err != nil {
					return err
				}
				if isGone {
					envelopes++
				}
			}
			for n := p.from + 1; n <= p.upTo; n++ {
				g.del(eventKey(p.st.name, n))
				events++
			}
			f := g.site(p.st)
			f.forgotten, f.isStored = p.upTo, true
		}
		w.s.forgot = g.version
		return nil
	}
	if err := w.s.submit(c); err != nil {
		return err
	}
	w.done.Events += events
	w.done.Envelopes += envelopes
	w.parts, w.entries = nil, 0
	return nil
}

// forget deletes the rows of an envelope. Its id stays, with the sender. An envelope with a newer
// event stays: a settlement has outranked a death.
func (g *group) forget(e oldEnvelope) (isGone bool, err error) {
	f, err := readFinals(g.txn, e.seq)
	if err != nil || f.last != e.last {
		return false, err
	}
	g.set(idKey(e.id), []byte(e.sender))
	g.del(envelopeKey(e.sender, e.seq))
	g.del(finalsKey(e.seq))
	for i, t := range e.targets {
		g.del(recipientKey(t.Site, e.seq))
		g.del(deliveryKey(e.seq, i))
		q := g.figures(g.s.queue(t.Queue))
		if f.dead&(1<<i) != 0 {
			q.oldDead++
		} else {
			q.oldSettled++
		}
		if i == 0 {
			q.envelopes--
		}
	}
	for i, m := range e.messages {
		uid, _ := unhex(m.UID)
		g.del(messageKey(m.ID, e.seq, i))
		g.del(uidKey(uid, e.seq, i))
	}
	return true, nil
}
