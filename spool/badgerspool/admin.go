package badgerspool

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	badger "github.com/dgraph-io/badger/v4"

	"sealpost/internal/id"
	"sealpost/spool"
)

// Queues implements spool.Admin.
func (s *Spool) Queues(ctx context.Context) ([]spool.QueueInfo, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	var infos []spool.QueueInfo
	for _, q := range s.allQueues() {
		info, known, err := s.queueInfo(q)
		if err != nil {
			return nil, fmt.Errorf("figures of %s: %w", q.name, err)
		}
		if known {
			infos = append(infos, info)
		}
	}
	slices.SortFunc(infos, func(a, b spool.QueueInfo) int { return strings.Compare(a.Name, b.Name) })
	return infos, nil
}

func (s *Spool) queueInfo(q *queue) (spool.QueueInfo, bool, error) {
	q.mu.Lock()
	q.expire(s.opts.Now())
	f, known, leased := q.figures, q.known, len(q.tokens)
	q.mu.Unlock()
	info := spool.QueueInfo{
		Name: q.name, Waiting: f.waiting, Leased: int64(leased), Released: f.released, Settled: f.settled, Dead: f.dead,
	}
	err := s.view(func(txn *badger.Txn) (err error) {
		info.Oldest, err = oldest(txn, q.name, f)
		return err
	})
	return info, known, err
}

// maxResting is how many released deliveries are looked at for the oldest; beyond it the answer may be too young.
const maxResting = 10_000

// oldest finds when the first of the waiting deliveries was spooled.
func oldest(txn *badger.Txn, queue string, f figures) (time.Time, error) {
	first, err := firstEntry(txn, queue, false, position{seq: f.head}, 1)
	if err != nil {
		return time.Time{}, err
	}
	resting, err := firstEntry(txn, queue, true, f.retryHead, maxResting)
	if err != nil {
		return time.Time{}, err
	}
	if first == nil || resting != nil && resting.seq < first.seq {
		first = resting
	}
	if first == nil {
		return time.Time{}, nil
	}
	return first.spooled, nil
}

// firstEntry reads the envelope with the lowest sequence among the first max places of a line; nil when it is empty.
func firstEntry(txn *badger.Txn, queue string, retry bool, from position, max int) (*envelope, error) {
	prefix := entryPrefix(queue, retry)
	it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
	defer it.Close()
	var sender id.Site
	var lowest uint64
	for it.Seek(seekKey(prefix, retry, from)); it.Valid() && max > 0; it.Next() {
		max--
		p := entryPosition(it.Item().Key(), prefix)
		if lowest != 0 && p.seq > lowest {
			continue
		}
		err := it.Item().Value(func(v []byte) error {
			e, err := decodeEntry(v)
			sender, lowest = e.sender, p.seq
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	if lowest == 0 {
		return nil, nil
	}
	return readEnvelope(txn, sender, lowest)
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
		if !validName(string(name)) || e.Kind != "" && e.Kind != spool.EventRoute {
			return fmt.Errorf("announce to %.40q: %w", name, spool.ErrInvalid)
		}
		bytes += 2*(entryCost+len(name)+64) + len(e.Address) + len(e.RouteVersion)
	}
	for step := range slices.Chunk(names, announceStep) {
		c := &change{ctx: ctx, need: needFloor, entries: 2 * len(step), bytes: bytes}
		c.apply = func(g *group) error {
			for _, name := range step {
				g.next()
				g.event(s.site(name), eventRecord{kind: eventRoute, address: events[name].Address, route: events[name].RouteVersion})
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
	info := spool.Info{Incarnation: s.incarnation, Reserve: s.opts.Reserve, Content: s.stagedBytes()}
	for _, q := range s.allQueues() {
		f := q.load()
		info.Envelopes += f.envelopes
		info.Content += f.content
	}
	var err error
	if info.DiskFree, err = s.seams.free(s.dir); err != nil {
		return info, fmt.Errorf("figures of the spool: %w", err)
	}
	return info, nil
}

// Poisoned implements spool.Admin.
func (s *Spool) Poisoned() <-chan struct{} { return s.poisoned }
