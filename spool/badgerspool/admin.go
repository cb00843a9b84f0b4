package badgerspool

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	badger "github.com/dgraph-io/badger/v4"

	"sealpost/internal/durable"
	"sealpost/internal/id"
	"sealpost/spool"
	"sealpost/spool/badgerspool/queue"
)

// Queues implements spool.Admin.
func (s *Spool) Queues(ctx context.Context) ([]spool.QueueInfo, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	var infos []spool.QueueInfo
	for _, q := range all(s, s.queues) {
		info, known, err := s.queueInfo(q)
		if err != nil {
			return nil, fmt.Errorf("figures of %s: %w", q.name, err)
		}
		if known {
			infos = append(infos, info)
		}
	}
	slices.SortFunc(infos, func(a, b spool.QueueInfo) int {
		return strings.Compare(a.Name, b.Name)
	})
	return infos, nil
}

// queueInfo returns the figures of a queue, and whether it has ever had a delivery.
func (s *Spool) queueInfo(q *storedQueue) (spool.QueueInfo, bool, error) {
	f, known := q.load()
	leased := q.Leased(s.opts.Now())
	info := spool.QueueInfo{
		Name: q.name, Waiting: f.waiting, Leased: int64(leased), Released: f.released,
		Settled: f.settled, Dead: f.dead,
	}
	err := s.view(func(txn *badger.Txn) (err error) {
		info.Oldest, info.Ages, err = q.oldest(txn)
		return err
	})
	return info, known, err
}

// maxResting limits the released deliveries that are read to find the oldest. Beyond it the answer
// may be too young.
const maxResting = 10_000

// eldest gathers the first ones of a queue's waiting deliveries.
type eldest struct {
	first queue.Position // the lowest sequence; zero: none
	free  queue.Position // the same of those whose age began at their publish
	since int64          // when the first age of another began, in milliseconds; 0: none
}

// eldest reads the lines of a queue with one iterator. A hub has a lane for each sender in each
// queue.
func (q *storedQueue) eldest(txn *badger.Txn) (e eldest, err error) {
	f, _ := q.load()
	left := maxResting
	for o, n := range []int64{f.waiting, f.released} {
		if n == 0 {
			continue
		}
		order := queue.Order(o)
		kind := []byte{keyEntry, keyRetry}[o]
		it := txn.NewIterator(badger.IteratorOptions{Prefix: named(kind, q.name)})
		defer it.Close()
		for _, at := range q.Waiting(order) {
			prefix, start := deliveries{txn, q.name}.line(order, at)
			for it.Seek(start); it.ValidForPrefix(prefix); it.Next() {
				p := entryPosition(it.Item().Key(), prefix, at.From)
				if err := it.Item().Value(func(v []byte) error { return e.add(p, v) }); err != nil {
					return e, err
				}
				if left--; order == queue.BySequence || left < 0 {
					break
				}
			}
		}
	}
	return e, nil
}

// add takes one delivery. One on hold has no age.
func (e *eldest) add(p queue.Position, value []byte) error {
	if e.first.Seq == 0 || p.Seq < e.first.Seq {
		e.first = p
	}
	if p.Due == queue.Held {
		return nil
	}
	en, err := decodeEntry(value)
	switch {
	case err != nil:
		return err
	case en.since != 0 && (e.since == 0 || en.since < e.since):
		e.since = en.since
	case en.since == 0 && (e.free.Seq == 0 || p.Seq < e.free.Seq):
		e.free = p
	}
	return nil
}

// oldest returns the spooled time of the first waiting delivery, and the first beginning of an age.
// They are zero if there is none.
func (q *storedQueue) oldest(txn *badger.Txn) (spooled, ages time.Time, err error) {
	e, err := q.eldest(txn)
	if err != nil {
		return spooled, ages, err
	}
	if spooled, err = spooledAt(txn, e.first); err != nil {
		return spooled, ages, err
	}
	ages, err = spooledAt(txn, e.free)
	if own := time.UnixMilli(e.since).UTC(); e.since != 0 && (ages.IsZero() || own.Before(ages)) {
		ages = own
	}
	return spooled, ages, err
}

// spooledAt returns the time at which the envelope of a place was spooled; zero: of no place.
func spooledAt(txn *badger.Txn, p queue.Position) (time.Time, error) {
	if p.Seq == 0 {
		return time.Time{}, nil
	}
	e, err := readEnvelope(txn, p.From, p.Seq)
	if err != nil {
		return time.Time{}, err
	}
	return e.spooled, nil
}

const announceStep = 1000 // sites in one change

// Announce implements spool.Admin.
func (s *Spool) Announce(ctx context.Context, events map[id.Site]spool.Event) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	names := slices.Sorted(maps.Keys(events))
	bytes := 0
	for _, name := range names {
		e := events[name]
		if !isValidName(string(name)) || e.Kind != "" && e.Kind != spool.EventRoute {
			return fmt.Errorf("announce to %.40q: %w", name, spool.ErrInvalid)
		}
		bytes += 2*(entryCost+len(name)+64) + len(e.Address) + len(e.RouteVersion)
	}
	for step := range slices.Chunk(names, announceStep) {
		c := &change{ctx: ctx, need: needFloor, entries: 2 * len(step), bytes: bytes}
		c.apply = func(g *group) error {
			for _, name := range step {
				g.next()
				g.event(s.site(name), eventRecord{kind: eventRoute, address: events[name].Address,
					route: events[name].RouteVersion})
			}
			return nil
		}
		if err := s.submit(c); err != nil {
			return fmt.Errorf("announce: %w", err)
		}
	}
	return nil
}

// Info implements spool.Admin.
func (s *Spool) Info(ctx context.Context) (spool.Info, error) {
	if err := s.enter(); err != nil {
		return spool.Info{}, err
	}
	defer s.leave()
	info := spool.Info{Incarnation: s.incarnation, Reserve: s.opts.Reserve, Lost: s.loss.Load()}
	for _, q := range all(s, s.queues) {
		f, _ := q.load()
		info.Envelopes += f.envelopes
	}
	s.holdings.mu.Lock()
	info.Content = s.holdings.waiting.Bytes + s.holdings.kept.Bytes + s.holdings.staged.Reserved
	s.holdings.mu.Unlock()
	var err, failed error
	info.DiskFree, err = s.seams.free(s.dir)
	info.DiskSize, failed = durable.Capacity(s.dir)
	if err := errors.Join(err, failed); err != nil {
		return info, fmt.Errorf("figures of the spool: %w", err)
	}
	return info, nil
}

// Poisoned implements spool.Admin.
func (s *Spool) Poisoned() <-chan struct{} { return s.poisoned }
