package badgerspool

import (
	"fmt"
	"sync"

	badger "github.com/dgraph-io/badger/v4"

	"sealpost/spool/badgerspool/queue"
)

// storedQueue is a queue and its durable figures.
type storedQueue struct {
	*queue.Queue
	name string

	mu      sync.Mutex // guards everything below
	known   bool       // it has had a delivery
	figures figures
}

func newQueue(name string) *storedQueue {
	return &storedQueue{Queue: queue.New(name), name: name}
}

// queue returns a queue, which may have had no delivery yet.
func (s *Spool) queue(name string) *storedQueue { return member(s, s.queues, name, newQueue) }

// restore sets the queue to the stored figures.
func (q *storedQueue) restore(f figures) {
	q.known, q.figures = true, f
	q.Restore(f.Cursors, f.released)
}

// load returns the committed figures, and whether there are any.
func (q *storedQueue) load() (figures, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.figures, q.known
}

// store sets the figures of a commit, and wakes calls that wait for deliveries.
func (q *storedQueue) store(f figures) {
	q.mu.Lock()
	q.known, q.figures = true, f
	q.mu.Unlock()
	q.Grow(f.Last)
}

// deliveries reads a queue's waiting deliveries in one transaction.
type deliveries struct {
	txn  *badger.Txn
	name string
}

// Get implements queue.Snapshot.
func (d deliveries) Get(p queue.Position) ([]byte, error) { return get(d.txn, entryAt(d.name, p)) }

// Scan implements queue.Snapshot.
func (d deliveries) Scan(o queue.Order, from queue.Position,
	yield func(queue.Position, []byte) (bool, error)) error {
	prefix := named(keyEntry, d.name)
	start := u64(prefix, from.Seq)
	if o == queue.ByTime {
		prefix = named(keyRetry, d.name)
		start = u64(u64(prefix, uint64(from.Due)), from.Seq)
	}
	it := d.txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
	defer it.Close()
	for it.Seek(start); it.Valid(); it.Next() {
		value, err := it.Item().ValueCopy(nil)
		if err != nil {
			return fmt.Errorf("read the queue: %w", err)
		}
		if more, err := yield(entryPosition(it.Item().Key(), prefix), value); !more || err != nil {
			return err
		}
	}
	return nil
}
