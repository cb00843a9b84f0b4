package badgerspool

import (
	"fmt"
	"sync"

	badger "github.com/dgraph-io/badger/v4"

	"sealpost/internal/id"
	"sealpost/spool"
	"sealpost/spool/badgerspool/queue"
)

// storedQueue is a queue and its durable figures.
type storedQueue struct {
	*queue.Queue
	name string

	mu      sync.Mutex // guards everything below
	known   bool       // it has had a delivery
	figures figures

	rows map[id.Site]laneRow // the stored lanes; the writer's own
}

func newQueue(name string) *storedQueue {
	return &storedQueue{Queue: queue.New(name), name: name, rows: make(map[id.Site]laneRow)}
}

// queue returns a queue, which may have had no delivery yet.
func (s *Spool) queue(name string) *storedQueue { return member(s, s.queues, name, newQueue) }

// restore sets the queue to the stored figures.
func (q *storedQueue) restore(f figures) { q.known, q.figures = true, f }

// restoreLane sets the lane of a sender to its stored row. The figures of the queue come before.
func (q *storedQueue) restoreLane(from id.Site, c queue.Cursors) {
	q.rows[from] = laneRow{Cursors: c}
	q.Restore(from, c, q.figures.last, q.figures.released)
}

// load returns the committed figures, and whether there are any.
func (q *storedQueue) load() (figures, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.figures, q.known
}

// store sets the figures of a commit.
func (q *storedQueue) store(f figures) {
	q.mu.Lock()
	q.known, q.figures = true, f
	q.mu.Unlock()
}

// deliveries reads a queue's waiting deliveries in one transaction.
type deliveries struct {
	txn  *badger.Txn
	name string
}

// Get implements queue.Snapshot.
func (d deliveries) Get(p queue.Position) ([]byte, error) { return get(d.txn, entryAt(d.name, p)) }

// Cost implements queue.Snapshot.
func (d deliveries) Cost(value []byte) int64 {
	en := decoder{data: value}
	return int64(en.uint()) + int64(en.uint())*spool.MessageCost
}

// line returns the prefix of the keys of a sender's line, and the key of a place in it.
func (d deliveries) line(o queue.Order, from queue.Position) (prefix, start []byte) {
	if o == queue.ByTime {
		prefix = entriesOf(keyRetry, d.name, from.From)
		return prefix, u64(u64(prefix[:len(prefix):len(prefix)], uint64(from.Due)), from.Seq)
	}
	prefix = entriesOf(keyEntry, d.name, from.From)
	return prefix, u64(prefix[:len(prefix):len(prefix)], from.Seq)
}

// Scan implements queue.Snapshot.
func (d deliveries) Scan(o queue.Order, from queue.Position,
	yield func(queue.Position, []byte) (bool, error)) error {
	prefix, start := d.line(o, from)
	it := d.txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
	defer it.Close()
	for it.Seek(start); it.Valid(); it.Next() {
		value, err := it.Item().ValueCopy(nil)
		if err != nil {
			return fmt.Errorf("read the queue: %w", err)
		}
		at := entryPosition(it.Item().Key(), prefix, from.From)
		if more, err := yield(at, value); !more || err != nil {
			return err
		}
	}
	return nil
}
