package badgerspool

import (
	"context"
	"maps"

	"sealpost/internal/id"
	"sealpost/spool"
)

// Limit implements spool.Admin.
func (s *Spool) Limit(_ context.Context, q spool.Quotas) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	q.Sites, q.Queues = maps.Clone(q.Sites), maps.Clone(q.Queues)
	s.holdings.quotas.Store(&q)
	return nil
}

// Usage implements spool.Admin.
func (s *Spool) Usage(context.Context) (spool.Usages, error) {
	if err := s.enter(); err != nil {
		return spool.Usages{}, err
	}
	defer s.leave()
	out := spool.Usages{Sites: map[id.Site]spool.Usage{}, Queues: map[string]spool.Usage{}}
	sites, queues, today := all(s, s.sites), all(s, s.queues), dayOf(s.hubTime())
	h := &s.holdings
	h.mu.Lock()
	defer h.mu.Unlock()
	out.Hub, out.Dead = ofAll(h.waiting, h.kept).Plus(h.staged), h.kept
	maps.Copy(out.Sites, h.bySite)
	for _, st := range sites {
		if w := st.load().usage(today); w != (spool.Usage{}) {
			out.Sites[st.name] = out.Sites[st.name].Plus(w)
		}
	}
	for _, q := range queues {
		if f, known := q.load(); known {
			out.Queues[q.name] = f.usage()
		}
	}
	return out, nil
}

// counts are the envelopes that a call compares with the quotas.
type counts interface {
	ofSite(*site) spool.Usage
	ofAll() spool.Usage
	ofQueue(*storedQueue) spool.Usage
}

// committed are the counts as of the last commit.
type committed struct{ s *Spool }

func (c committed) ofSite(st *site) spool.Usage {
	return st.load().usage(dayOf(c.s.hubTime()))
}
func (c committed) ofAll() spool.Usage { return ofAll(c.s.holdings.envelopes()) }
func (c committed) ofQueue(q *storedQueue) spool.Usage {
	f, _ := q.load()
	return f.usage()
}

// ofSite returns the sender's envelopes as this group sees them.
func (g *group) ofSite(st *site) spool.Usage {
	if f, ok := g.sites[st]; ok {
		return f.usage(dayOf(g.now))
	}
	return st.load().usage(dayOf(g.now))
}

func (g *group) ofAll() spool.Usage { return ofAll(g.waiting, g.kept) }

func (g *group) ofQueue(q *storedQueue) spool.Usage {
	if c, ok := g.queues[q]; ok {
		return c.usage()
	}
	f, _ := q.load()
	return f.usage()
}

// admits returns an error if an envelope would pass a quota. Its upload, if there is one, gives its
// reservation back.
func (s *Spool) admits(of counts, e *envelope, from *site, queues []*storedQueue,
	up *upload) error {
	more := e.usage().Minus(s.holdings.reservedBy(up))
	more.Metadata = e.metadata()
	if err := s.holdings.check(e.sender, of.ofSite(from), of.ofAll(), more); err != nil {
		return err
	}
	quotas := s.holdings.quotas.Load()
	for _, q := range queues {
		if err := quotas.OfQueue(q.name).Check(spool.ScopeQueue, q.name, of.ofQueue(q),
			e.usage()); err != nil {
			return err
		}
	}
	return nil
}

// admitsNow returns the error of a sender that was refused before, and would be now. It writes no
// content for it. Other senders pay nothing for the comparison.
func (s *Spool) admitsNow(e *envelope, from *site, queues []*storedQueue, up *upload) error {
	if !from.refused.Load() {
		return nil
	}
	err := s.admits(committed{s}, e, from, queues, up)
	from.refused.Store(err != nil)
	return err
}

// reserve returns an error if an upload may not reserve more. The writer calls it.
func (g *group) reserve(sender id.Site, more spool.Usage) error {
	s := g.s
	if err := g.room.allowsMore(more.Reserved, s.holdings.unallocated()); err != nil {
		return err
	}
	return s.holdings.check(sender, g.ofSite(s.site(sender)), g.ofAll(), more)
}

// takePart takes the bytes of a part, so that it can be received. Beyond the upload's reservation
// the writer decides.
func (s *Spool) takePart(ctx context.Context, u *upload, n int64) error {
	if s.holdings.takeReserved(u, n) {
		return nil
	}
	return s.submit(&change{ctx: ctx, need: needFloor, apply: func(g *group) error {
		h := &s.holdings
		h.mu.Lock()
		isOpen := u.held.isOpen
		more := spool.Usage{Reserved: reservation(u.size, u.held.taken+n) - u.held.reserved}
		h.mu.Unlock()
		if !isOpen {
			return spool.ErrNotFound
		}
		if more.Reserved > 0 {
			if err := g.reserve(u.name.sender, more); err != nil {
				return err
			}
		}
		h.take(u, n)
		return nil
	}})
}
