package badgerspool

import (
	"context"
	"errors"
	"fmt"
	"time"

	badger "github.com/dgraph-io/badger/v4"

	"sealpost/spool"
)

// A group of changes is closed at these limits. Badger's own, with its memtables of 8 MiB, are 13,107 entries and
// 1,258,291 bytes; what a group itself adds (figures) and what Badger counts per entry fit in between.
const (
	groupEntries = 8000
	groupBytes   = 1 << 20
	entryCost    = 24 // bytes that Badger counts per entry beside key and value
)

// need says how much room on the disk a change asks for.
type need int

const (
	needRoom  need = iota // brings new content: not below the reserve
	needFloor             // finishes what is there: not below the floor
)

// change is one caller's part of a commit.
type change struct {
	ctx     context.Context
	need    need
	entries int                  // at most this many keys are written
	bytes   int                  // at most this many bytes of keys and values
	apply   func(g *group) error // runs in the writer; has written nothing when it returns an error
	done    chan error
	err     error
}

// submit hands a change to the writer and waits until it is durable. The context counts only until the writer takes it.
func (s *Spool) submit(c *change) error {
	c.done = make(chan error, 1)
	select {
	case s.changes <- c:
	case <-c.ctx.Done():
		return c.ctx.Err()
	}
	return <-c.done
}

// write is the one goroutine that changes the store.
func (s *Spool) write() {
	defer close(s.written)
	var left *change // did not fit into the last group
	for {
		first := left
		if first == nil {
			var ok bool
			if first, ok = <-s.changes; !ok {
				return
			}
		}
		var group []*change
		group, left = s.gather(first)
		s.commitGroup(group)
	}
}

// gather takes what is waiting, as much as one commit may hold.
func (s *Spool) gather(first *change) (group []*change, left *change) {
	group = append(s.gathered[:0], first)
	entries, bytes := first.entries, first.bytes
	for {
		select {
		case c, ok := <-s.changes:
			if !ok {
				return group, nil
			}
			if entries+c.entries > groupEntries || bytes+c.bytes > groupBytes {
				s.gathered = group
				return group, c
			}
			group = append(group, c)
			entries, bytes = entries+c.entries, bytes+c.bytes
		default:
			s.gathered = group
			return group, nil
		}
	}
}

// commitGroup applies the changes in order, commits them together and answers. A change that refuses itself is answered
// after the commit too, because its reason may lie in a change before it.
func (s *Spool) commitGroup(changes []*change) {
	if s.isPoisoned() {
		answer(changes, spool.ErrUncertain)
		return
	}
	room := s.admit()
	g := s.newGroup()
	defer g.txn.Discard()
	for _, c := range changes {
		c.err = s.applyOne(g, c, room)
	}
	if err := s.finish(g); err != nil {
		s.poison(err)
		answer(changes, fmt.Errorf("%w: %w", spool.ErrUncertain, err))
		return
	}
	for _, c := range changes {
		c.done <- c.err
	}
}

func (s *Spool) applyOne(g *group, c *change, room room) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	if err := room.allows(c.need); err != nil {
		return err
	}
	return c.apply(g)
}

func answer(changes []*change, err error) {
	for _, c := range changes {
		c.done <- err
	}
}

// finish commits the group and brings memory up to date, in the order of the changes.
func (s *Spool) finish(g *group) error {
	if g.entries == 0 {
		return nil
	}
	if err := g.seal(); err != nil {
		return err
	}
	if err := s.seams.commit(g.txn, g.version); err != nil {
		return err
	}
	s.db.SetDiscardTs(s.snapshots.advance(g.version))
	s.commits.Store(g.commit)
	s.writeMark()
	s.drained.Add(g.deleted)
	for q, c := range g.queues {
		q.store(c.figures)
	}
	for st, f := range g.sites {
		st.store(*f)
	}
	for n, live := range g.packs {
		if s.packs.store(n, live) {
			s.janitor.kick()
		}
	}
	for _, f := range g.after {
		f()
	}
	s.quiet.Store(time.Now().UnixNano())
	return nil
}

// poison ends the store's life: from now on nobody is told anything but "uncertain".
func (s *Spool) poison(err error) {
	s.poisonOnce.Do(func() {
		s.opts.Log.Error("the spool's last commit is uncertain; it answers nothing until it is opened again", "err", err)
		close(s.poisoned)
	})
}

func (s *Spool) isPoisoned() bool {
	select {
	case <-s.poisoned:
		return true
	default:
		return false
	}
}

// group is the transaction under way. Only the writer touches it.
type group struct {
	s       *Spool
	txn     *badger.Txn
	version uint64
	now     time.Time
	commit  uint64 // the number of the newest change in it
	queues  map[*queue]*queueChange
	sites   map[*site]*siteFigures
	after   []func() // once committed, in order
	packs   map[uint64]int64
	hour    int64 // of the newest envelope
	entries int
	deleted int64
	failed  error // the first error of the transaction itself
}

func (s *Spool) newGroup() *group {
	newest := s.snapshots.newest()
	return &group{
		s:       s,
		txn:     s.db.NewTransactionAt(newest, true),
		version: newest + 1,
		now:     s.hubTime(),
		commit:  s.commits.Load(),
		queues:  make(map[*queue]*queueChange),
		sites:   make(map[*site]*siteFigures),
		packs:   make(map[uint64]int64),
		hour:    s.hours.current(),
	}
}

// next numbers a change: envelopes take their sequence from here, and everything else its place in the order of commits.
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

// queueChange is a queue's figures as the group will leave them.
type queueChange struct {
	figures
	lowest position // of what the group releases; zero: nothing
}

// figures returns the queue's numbers as this group sees them, to be changed.
func (g *group) figures(q *queue) *queueChange {
	c, ok := g.queues[q]
	if !ok {
		c = &queueChange{figures: q.load()}
		g.queues[q] = c
	}
	return c
}

// packed counts contents that come to be needed in a pack, or cease to be.
func (g *group) packed(n uint64, more int64) {
	live, ok := g.packs[n]
	if !ok {
		live = g.s.packs.live(n)
	}
	g.packs[n] = live + more
}

// event appends to the site's sequence.
func (g *group) event(st *site, e eventRecord) {
	f, ok := g.sites[st]
	if !ok {
		now := st.load()
		f = &now
		g.sites[st] = f
	}
	f.last++
	e.commit, e.time = g.commit, g.now
	g.set(eventKey(st.name, f.last), e.encode())
}

// seal writes what the group itself has to say: the figures of the queues and sites that it touched.
func (g *group) seal() error {
	carried := false
	for q, c := range g.queues {
		c.commit = g.commit
		q.heads(c)
		g.set(figuresKey(q.name), c.encode())
		carried = true
	}
	for st, f := range g.sites {
		f.commit = g.commit
		g.set(siteKey(st.name), f.encode())
		carried = true
	}
	for n, live := range g.packs {
		g.set(packKey(n), u64(nil, uint64(live)))
	}
	if !carried {
		g.set([]byte{keyCommits}, u64(nil, g.commit))
	}
	return g.failed
}

// get reads one value; nil when the key does not exist.
func get(txn *badger.Txn, key []byte) ([]byte, error) {
	item, err := txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the spool: %w", err)
	}
	value, err := item.ValueCopy(nil)
	if err != nil {
		return nil, fmt.Errorf("read the spool: %w", err)
	}
	if value == nil {
		value = []byte{}
	}
	return value, nil
}
