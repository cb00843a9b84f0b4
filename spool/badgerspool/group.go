package badgerspool

import (
	"time"

	badger "github.com/dgraph-io/badger/v4"

	"sealpost/internal/id"
	"sealpost/spool"
	"sealpost/spool/badgerspool/queue"
)

// group is the transaction under way. Only the writer touches it.
type group struct {
	s       *Spool
	txn     *badger.Txn
	version uint64
	now     time.Time
	commit  uint64 // the number of the newest change in it
	queues  map[*storedQueue]*figures
	lanes   map[laneName]*laneChange
	sites   map[*site]*siteChange
	waiting spool.Usage // of all envelopes
	kept    spool.Usage // of those that wait no more, for dead letters
	room    room
	block   []byte   // of the audit chain, without its end; empty: it has no entry
	after   []func() // once committed, in order
	packs   map[uint64]int64
	hour    int64 // of the newest envelope
	entries int
	deleted int64
	failed  error // the first error of the transaction itself
}

// newGroup begins the transaction of the next commit. The caller discards it at the end.
func (s *Spool) newGroup() *group {
	newest := s.snapshots.newest()
	waiting, kept := s.holdings.envelopes()
	return &group{
		s:       s,
		txn:     s.db.NewTransactionAt(newest, true),
		version: newest + 1,
		now:     s.hubTime(),
		commit:  s.commits.Load(),
		queues:  make(map[*storedQueue]*figures),
		lanes:   make(map[laneName]*laneChange),
		sites:   make(map[*site]*siteChange),
		waiting: waiting,
		kept:    kept,
		packs:   make(map[uint64]int64),
		hour:    s.hours.current(),
	}
}

// next returns the number of a change. It is the sequence of an envelope, and the place of any
// other change in the order of commits.
func (g *group) next() uint64 {
	g.commit++
	return g.commit
}

// get returns the value of a key as this group sees it, nil when there is none.
func (g *group) get(key []byte) ([]byte, error) { return get(g.txn, key) }

func (g *group) set(key, value []byte) {
	g.entries++
	if err := g.txn.SetEntry(&badger.Entry{Key: key, Value: value}); err != nil && g.failed == nil {
		g.failed = err
	}
}

func (g *group) del(key []byte) {
	g.entries++
	g.deleted++
	if err := g.txn.Delete(key); err != nil && g.failed == nil {
		g.failed = err
	}
}

// laneName names the lane of a sender in a queue.
type laneName struct {
	q    *storedQueue
	from id.Site
}

// laneChange is the part of a group that moves a lane.
type laneChange struct {
	last   uint64         // of the published ones; zero: none
	left   int            // deliveries that have left their places
	lowest queue.Position // of the released ones; zero: none
}

// lane returns the changes of a lane in this group, to be added to.
func (g *group) lane(q *storedQueue, from id.Site) *laneChange {
	name := laneName{q, from}
	c, ok := g.lanes[name]
	if !ok {
		c = &laneChange{}
		g.lanes[name] = c
	}
	return c
}

// sealLane writes the row of a lane if a start needs it. Without it a start finds no delivery of a
// new lane, and reads the places of many in vain.
func (g *group) sealLane(n laneName, c *laneChange) {
	row, isStored := n.q.rows[n.from]
	row.left += c.left
	isLower := c.lowest != (queue.Position{}) && c.lowest.Before(row.RetryHead)
	if !isStored || isLower || row.left >= replayed {
		row = laneRow{Cursors: n.q.Cursors(n.from)}
		if isLower = c.lowest != (queue.Position{}) && c.lowest.Before(row.RetryHead); isLower {
			row.RetryHead = c.lowest
		}
		g.set(laneKey(n.q.name, n.from), row.encode())
	}
	n.q.rows[n.from] = row
}

// offer notes the place of a delivery that the group puts among the released ones.
func (c *laneChange) offer(to queue.Position) {
	if c.lowest == (queue.Position{}) || to.Before(c.lowest) {
		c.lowest = to
	}
}

// figures returns the queue's numbers as this group sees them, to be changed.
func (g *group) figures(q *storedQueue) *figures {
	f, ok := g.queues[q]
	if !ok {
		loaded, _ := q.load()
		f = &loaded
		g.queues[q] = f
	}
	return f
}

// packed adds to the number of contents that are needed in a pack.
func (g *group) packed(n uint64, more int64) {
	live, ok := g.packs[n]
	if !ok {
		live = g.s.packs.Live(n)
	}
	g.packs[n] = live + more
}

// siteChange is a site's figures as the group will leave them.
type siteChange struct {
	siteFigures
	isStored bool // the group writes its row
}

// site returns the site's numbers as this group sees them, to be changed.
func (g *group) site(st *site) *siteChange {
	c, ok := g.sites[st]
	if !ok {
		c = &siteChange{siteFigures: st.load()}
		g.sites[st] = c
	}
	return c
}

// hold adds an envelope to those of its sender that wait.
func (g *group) hold(from *site, e *envelope) {
	g.site(from).publish(e)
	g.waiting = g.waiting.Plus(e.usage())
}

// free takes an envelope from those that wait. A row of its sender follows with the event.
func (g *group) free(from *site, e *envelope) {
	f := g.site(from)
	f.waiting = f.waiting.Minus(e.usage())
	g.waiting = g.waiting.Minus(e.usage())
}

// holdAgain undoes free. A row of its sender follows with the event.
func (g *group) holdAgain(from *site, e *envelope) {
	f := g.site(from)
	f.waiting = f.waiting.Plus(e.usage())
	g.waiting = g.waiting.Plus(e.usage())
}

// event appends to the site's sequence, and returns the number.
func (g *group) event(st *site, e eventRecord) uint64 {
	f := g.site(st)
	f.isStored = true
	f.last++
	e.commit, e.time = g.commit, g.now
	g.set(eventKey(st.name, f.last), e.encode())
	return f.last
}

// seal writes the block of the audit chain, and the figures of the queues, sites and packs of the
// group.
func (g *group) seal() error {
	g.sealBlock()
	carried := false
	for q, c := range g.queues {
		c.commit = g.commit
		g.set(figuresKey(q.name), c.encode())
		carried = true
	}
	for name, c := range g.lanes {
		g.sealLane(name, c)
	}
	for st, f := range g.sites {
		if !f.isStored && f.unwritten < replayed {
			continue
		}
		f.commit, f.unwritten, f.read = g.commit, 0, st.readUpTo()
		g.set(siteKey(st.name), f.encode())
		carried = true
	}
	for n, live := range g.packs {
		g.set(packKey(n), u64(nil, uint64(live)))
	}
	if _, before := g.s.holdings.envelopes(); g.kept != before {
		g.set([]byte{keyKept}, encodeUsage(g.kept))
	}
	if !carried {
		g.set([]byte{keyCommits}, u64(nil, g.commit))
	}
	return g.failed
}
