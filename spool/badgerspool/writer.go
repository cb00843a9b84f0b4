package badgerspool

import (
	"context"
	"fmt"
	"time"

	"sealpost/spool"
)

// These limits close a group of changes. Badger's own, with its memtables of 8 MiB, are 13,107
// entries and 1,258,291 bytes. The difference leaves room for the group's figures, and for the
// bytes that Badger counts per entry.
const (
	groupEntries = 8000
	groupBytes   = 1 << 20
	entryCost    = 24 // bytes that Badger counts per entry beside key and value
)

// need is the room on the disk that a change asks for.
type need int

const (
	needRoom  need = iota // brings new content: not below the reserve
	needFloor             // finishes stored content: not below the floor
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

// submit gives a change to the writer and waits until it is durable. The context counts only until
// the writer takes it.
func (s *Spool) submit(c *change) error {
	c.done = make(chan error, 1)
	select {
	case s.changes <- []*change{c}:
	case <-c.ctx.Done():
		return c.ctx.Err()
	}
	return <-c.done
}

// write runs the one goroutine that changes the store.
func (s *Spool) write() {
	defer close(s.written)
	var left []*change // did not fit into the last group
	for {
		if len(left) == 0 {
			var ok bool
			if left, ok = <-s.changes; !ok {
				return
			}
		}
		var group []*change
		group, left = s.gather(left)
		s.commitGroup(group)
		clear(group) // frees the changes; the next group may be smaller
	}
}

// gather takes the waiting changes up to the limits of one commit. It returns the rest as left.
func (s *Spool) gather(batch []*change) (group, left []*change) {
	group = s.gathered[:0]
	defer func() { s.gathered = group }()
	entries, bytes := 0, 0
	for {
		for i, c := range batch {
			entries, bytes = entries+c.entries, bytes+c.bytes
			if len(group) > 0 && (entries > groupEntries || bytes > groupBytes) {
				return group, batch[i:]
			}
			group = append(group, c)
		}
		select {
		case batch = <-s.changes: // nil when it was closed
			if batch == nil {
				return group, nil
			}
		default:
			return group, nil
		}
	}
}

// commitGroup applies the changes in order, commits them together and answers. A change that fails
// is answered after the commit too, because its reason may be an earlier change of the group.
func (s *Spool) commitGroup(changes []*change) {
	if s.isPoisoned() {
		answer(changes, spool.ErrUncertain)
		return
	}
	g := s.newGroup()
	defer g.txn.Discard()
	g.room = s.admit()
	for _, c := range changes {
		if c.err = c.ctx.Err(); c.err == nil {
			c.err = g.room.allows(c.need)
		}
		if c.err == nil {
			c.err = c.apply(g)
		}
	}
	if err := s.finish(g); err != nil {
		s.opts.Log.Error("commit uncertain; the spool must be opened again", "err", err)
		close(s.poisoned)
		answer(changes, fmt.Errorf("%w: %w", spool.ErrUncertain, err))
		return
	}
	for _, c := range changes {
		c.done <- c.err
	}
}

func answer(changes []*change, err error) {
	for _, c := range changes {
		c.done <- err
	}
}

// finish commits the group and brings memory up to date, in the order of the changes.
func (s *Spool) finish(g *group) error {
	if g.entries == 0 && len(g.block) == 0 && len(g.sites) == 0 {
		return nil
	}
	if err := g.seal(); err != nil {
		return err
	}
	if err := s.seams.commit(g.txn, g.version); err != nil {
		return err
	}
	if err := s.folder.sync(); err != nil {
		return err
	}
	s.db.SetDiscardTs(s.snapshots.advance(g.version))
	s.commits.Store(g.commit)
	_, _ = s.mark.WriteAt(fmt.Appendf(nil, "%020d\n", g.commit), 0) // only gives a warning
	s.drained.Add(g.deleted)
	for q, c := range g.queues {
		q.store(*c)
	}
	for n, c := range g.lanes {
		n.q.Grow(n.from, c.last)
	}
	for st, f := range g.sites {
		st.store(f.siteFigures)
	}
	s.holdings.setEnvelopes(g.waiting, g.kept)
	for n, live := range g.packs {
		if s.packs.SetLive(n, live) {
			s.janitor.kick()
		}
	}
	for _, f := range g.after {
		f()
	}
	s.lastEnd.Store(time.Now().UnixNano())
	return nil
}

func (s *Spool) isPoisoned() bool {
	select {
	case <-s.poisoned:
		return true
	default:
		return false
	}
}
