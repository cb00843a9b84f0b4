package badgerspool

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	badger "github.com/dgraph-io/badger/v4"

	"sealpost/internal/id"
	"sealpost/spool"
)

// maxSleep is how long a waiting call trusts its timer. The clock is looked at again after it, in case it was set.
const maxSleep = 200 * time.Millisecond

// Lease implements spool.Spool.
func (s *Spool) Lease(ctx context.Context, req spool.LeaseRequest) ([]spool.Delivery, error) {
	if req.Max < 1 || req.Duration <= 0 || req.Session == "" || !validName(req.Queue) {
		return nil, fmt.Errorf("lease from %.80q: %w", req.Queue, spool.ErrInvalid)
	}
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	q := s.queue(req.Queue)
	for ctx.Err() == nil {
		picked, wait, err := s.pick(q, req)
		if err != nil {
			return nil, fmt.Errorf("lease from %s: %w", req.Queue, err)
		}
		if len(picked) == 0 {
			if err := s.wait(ctx, wait); err != nil {
				return nil, err
			}
			continue
		}
		found, err := s.deliveries(q, picked, req.MaxBytes)
		if err != nil {
			q.giveAllBack(picked)
			return nil, fmt.Errorf("lease from %s: %w", req.Queue, err)
		}
		if len(found) > 0 {
			return found, nil
		}
	}
	return nil, nil
}

// waiting says until when a call has nothing to do.
type waiting struct {
	changed <-chan struct{}
	sleep   time.Duration // negative: only a change can bring something
}

// wait returns when it is worth looking again, or when the context has ended.
func (s *Spool) wait(ctx context.Context, w waiting) error {
	var timer <-chan time.Time
	if w.sleep >= 0 {
		t := time.NewTimer(min(w.sleep, maxSleep))
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-ctx.Done():
	case <-w.changed:
	case <-timer:
	case <-s.closing:
		return spool.ErrClosed
	case <-s.poisoned:
		return spool.ErrUncertain
	}
	return nil
}

// pick is a delivery that has just been leased.
type pick struct {
	*item
	entry entry
	token spool.Token
	until time.Time
}

// pick leases what is due and waiting, or says how long to wait for it. Its snapshot is taken under the queue's lock, so
// that nothing whose settlement has been answered is handed out.
func (s *Spool) pick(q *queue, req spool.LeaseRequest) ([]pick, waiting, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.adopt(req.Session); err != nil {
		return nil, waiting{}, err
	}
	now := s.hubTime()
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
		p.until = p.lease.until
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
		return q.retryAt <= now.UnixMilli()
	}
	return q.fresh.next.seq <= q.figures.last
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
		if retry && p.due > now.UnixMilli() {
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
		ln.next = position{p.due, p.seq + 1}
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

// deliveries reads what was picked. What has been settled meanwhile is left out.
func (s *Spool) deliveries(q *queue, picked []pick, maxBytes int) (found []spool.Delivery, err error) {
	r := packReader{p: s.packs}
	defer r.close()
	err = s.view(func(txn *badger.Txn) error {
		for _, p := range picked {
			d, at, err := s.delivery(txn, q, p)
			if err != nil {
				return err
			}
			if d == nil {
				continue
			}
			if at.pack != 0 && d.Size <= int64(maxBytes) {
				d.Content, err = r.read(at, d.Size)
				if err != nil { // Open will tell; the queue must not stand still for one content
					s.opts.Log.Error("a content cannot be read", "envelope", d.Envelope, "queue", q.name, "err", err)
				}
				maxBytes -= len(d.Content)
			}
			found = append(found, *d)
		}
		return nil
	})
	return found, err
}

// delivery reads one delivery but for its content; nil when it has just been settled.
func (s *Spool) delivery(txn *badger.Txn, q *queue, p pick) (*spool.Delivery, packPlace, error) {
	rec, err := readDelivery(txn, p.seq, p.entry.target)
	if err != nil || rec.final() {
		return nil, packPlace{}, err
	}
	e, err := readEnvelope(txn, p.entry.sender, p.seq)
	if err != nil {
		return nil, packPlace{}, err
	}
	d := &spool.Delivery{
		DeliveryID:  spool.DeliveryID{Incarnation: s.incarnation, Queue: q.name, Sequence: p.seq, Envelope: tohex[id.Envelope](e.id[:])},
		Token:       p.token,
		LeasedUntil: p.until,
		Attempts:    p.entry.attempts,
		Sender:      e.sender,
		Address:     e.address,
		Spooled:     e.spooled,
		Size:        e.size,
		CRC32C:      []uint32{e.crc},
		Messages:    e.messages,
	}
	if e.parts() > 1 {
		sums, err := get(txn, sumsKey(e.seq))
		if err != nil {
			return nil, packPlace{}, err
		}
		d.CRC32C = decodeSums(sums)
	}
	return d, e.at, nil
}

// Extend implements spool.Spool.
func (s *Spool) Extend(ctx context.Context, t spool.Token) (time.Time, error) {
	if err := s.enter(); err != nil {
		return time.Time{}, err
	}
	defer s.leave()
	q := s.tokenQueue(t)
	q.mu.Lock()
	defer q.mu.Unlock()
	now := s.hubTime()
	l, err := q.held(t, now)
	if err != nil {
		return time.Time{}, fmt.Errorf("extend: %w", err)
	}
	return q.prolong(l, now), nil
}

// A token is 128 random bits and the queue it belongs to.
func newToken(queue string) spool.Token {
	return spool.Token(id.Random128[string]() + "." + queue)
}

func (s *Spool) tokenQueue(t spool.Token) *queue {
	_, name, _ := strings.Cut(string(t), ".")
	s.mu.RLock()
	defer s.mu.RUnlock()
	if q, ok := s.queues[name]; ok {
		return q
	}
	return newQueue(name) // holds no lease
}
