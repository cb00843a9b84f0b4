package badgerspool

import (
	"errors"
	"fmt"
	"math"
	"time"

	badger "github.com/dgraph-io/badger/v4"

	"sealpost/spool"
)

// pick is a delivery that has just been leased.
type pick struct {
	*item
	entry entry
	token spool.Token
	until time.Time
}

// errOvertaken says that nobody listens to a call any more: its session has made another one since.
var errOvertaken = errors.New("overtaken by a later call of the session")

// pick leases what is due and waiting, or says how long to wait for it. Its snapshot is taken under the queue's lock, so
// that nothing whose settlement has been answered is handed out.
func (s *Spool) pick(q *queue, req spool.LeaseRequest) ([]pick, waiting, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.adopt(req.Session); err != nil {
		return nil, waiting{}, err
	}
	if req.Number != 0 && req.Number != q.number {
		return nil, waiting{}, errOvertaken
	}
	now := s.opts.Now() // leases are not cut short when the clock is set
	q.expire(now)
	picked, err := s.collectAll(q, min(req.Max, maxLeased-len(q.tokens)), now)
	for i := range picked {
		p := &picked[i]
		if err != nil {
			q.offerAgain(p.position)
			continue
		}
		p.token = newToken(q.name)
		q.claim(p.item, p.token, now, req.Duration)
		p.until = cut(p.lease.until)
		if req.Number != 0 {
			q.unsure = append(q.unsure, p.token)
		}
	}
	if err != nil || len(picked) > 0 {
		return picked, waiting{}, err
	}
	return nil, waiting{q.waitChannel(), q.pending(now)}, nil
}

// collectAll takes up to max deliveries out of the queue, due retries first.
func (s *Spool) collectAll(q *queue, max int, now time.Time) (found []pick, err error) {
	if max < 1 || !q.worthReading(now) {
		return nil, nil
	}
	err = s.view(func(txn *badger.Txn) error {
		if found, err = q.collect(txn, true, found, max, now); err != nil {
			return err
		}
		found, err = q.collect(txn, false, found, max, now)
		return err
	})
	return found, err
}

// collect takes deliveries out of one line until there are max: first what is back, then from next on.
func (q *queue) collect(txn *badger.Txn, retry bool, found []pick, max int, now time.Time) ([]pick, error) {
	ln := &q.fresh
	if retry {
		ln = &q.retry
	}
	for len(found) < max {
		it := ln.returned()
		if it == nil {
			break
		}
		value, err := get(txn, entryAt(q.name, it.position))
		if err != nil {
			return found, err
		}
		if value == nil {
			continue // gone since; its settlement is about to tell this queue
		}
		e, err := decodeEntry(value)
		if err != nil {
			return found, err
		}
		found = append(found, pick{item: it, entry: e})
	}
	if len(found) < max && q.worthScanning(retry, now) {
		return q.scan(txn, retry, found, max, now)
	}
	return found, nil
}

// worthReading spares a waiting call the look into the store when nothing can be there.
func (q *queue) worthReading(now time.Time) bool {
	return len(q.fresh.back) > 0 || len(q.retry.back) > 0 || q.worthScanning(true, now) || q.worthScanning(false, now)
}

func (q *queue) worthScanning(retry bool, now time.Time) bool {
	if retry {
		return q.retryAt != math.MaxInt64 && !rests(q.retryAt, now)
	}
	return q.fresh.next.seq <= q.figures.last
}

// rests tells whether what is due at a time, in milliseconds, is not to be handed out yet. Nothing rests for longer than
// spool.MaxDelay: a later time is of a clock that was wrong and has been set right.
func rests(due int64, now time.Time) bool {
	return due > now.UnixMilli() && due <= now.Add(spool.MaxDelay).UnixMilli()
}

// scan reads the line from next on.
func (q *queue) scan(txn *badger.Txn, retry bool, found []pick, max int, now time.Time) ([]pick, error) {
	prefix := entryPrefix(q.name, retry)
	it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
	defer it.Close()
	ln, last := &q.fresh, q.figures.last
	if retry {
		ln = &q.retry
	}
	for it.Seek(seekKey(prefix, retry, ln.next)); it.Valid(); it.Next() {
		if len(found) == max {
			return found, nil
		}
		p := entryPosition(it.Item().Key(), prefix)
		if retry && rests(p.due, now) {
			q.retryAt = p.due
			return found, nil
		}
		var e entry
		err := it.Item().Value(func(v []byte) (err error) { e, err = decodeEntry(v); return err })
		if err != nil {
			return found, fmt.Errorf("read the queue: %w", err)
		}
		if _, out := ln.out[p]; !out {
			found = append(found, pick{item: ln.leave(p), entry: e})
		}
		if !retry || p.due <= now.UnixMilli() { // what was put off by a wrong clock is passed, and not what lies before it
			ln.next = position{p.due, p.seq + 1}
		}
	}
	if retry {
		q.retryAt = math.MaxInt64
	} else if ln.next.seq <= last {
		ln.next.seq = last + 1
	}
	return found, nil
}

// giveAllBack undoes picks that could not be handed out.
func (q *queue) giveAllBack(picked []pick) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, p := range picked {
		if l, ok := q.tokens[p.token]; ok {
			q.giveBack(l)
		}
	}
}
