package badgerspool

import (
	"context"
	"errors"
	"fmt"
	"time"

	badger "github.com/dgraph-io/badger/v4"

	"sealpost/internal/id"
	"sealpost/spool"
	"sealpost/spool/badgerspool/packs"
	"sealpost/spool/badgerspool/queue"
)

// maxSleep limits the timer of a waiting call, which then reads the clock again in case it was set.
const maxSleep = 200 * time.Millisecond

// Lease implements spool.Spool.
func (s *Spool) Lease(ctx context.Context, req spool.LeaseRequest) ([]spool.Delivery, error) {
	if req.Max < 1 || req.Duration <= 0 || req.Session == "" || !isValidName(req.Queue) ||
		(req.Got != 0 && req.Got >= req.Number) {
		return nil, fmt.Errorf("lease from %.80q: %w", req.Queue, spool.ErrInvalid)
	}
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	q := s.queue(req.Queue)
	if err := q.Begin(req); errors.Is(err, queue.ErrAspires) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("lease from %s: %w", req.Queue, err)
	}
	view := func(read func(queue.Snapshot) error) error {
		return s.view(func(txn *badger.Txn) error { return read(deliveries{txn, q.name}) })
	}
	for ctx.Err() == nil {
		// The time has a monotonic clock, so setting the clock does not cut a lease short.
		leased, wait, err := q.Lease(req, s.opts.Now(), view)
		if errors.Is(err, queue.ErrOvertaken) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("lease from %s: %w", req.Queue, err)
		}
		if len(leased) == 0 {
			if err := s.wait(ctx, wait.Changed, wait.Sleep); err != nil {
				return nil, err
			}
			continue
		}
		found, err := s.deliveries(q, leased, req.MaxBytes)
		if err != nil {
			q.Return(leased)
			return nil, fmt.Errorf("lease from %s: %w", req.Queue, err)
		}
		if len(found) > 0 {
			return found, nil
		}
	}
	return nil, nil
}

// wait returns when the caller should try again, or when the context has ended. A negative sleep
// waits for a change alone.
func (s *Spool) wait(ctx context.Context, changed <-chan struct{}, sleep time.Duration) error {
	var timer <-chan time.Time
	if sleep >= 0 {
		t := time.NewTimer(min(sleep, maxSleep))
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-ctx.Done():
	case <-changed:
	case <-timer:
	case <-s.closing:
		return spool.ErrClosed
	case <-s.poisoned:
		return spool.ErrUncertain
	}
	return nil
}

// deliveries reads leased deliveries. One that has been settled meanwhile is left out.
func (s *Spool) deliveries(q *storedQueue, leased []queue.Lease,
	maxBytes int) (found []spool.Delivery, err error) {
	r := s.packs.Reader()
	defer r.Close()
	err = s.view(func(txn *badger.Txn) error {
		for _, l := range leased {
			d, at, err := s.delivery(txn, q, l)
			if err != nil {
				return err
			}
			if d == nil {
				continue
			}
			if at.Pack != 0 && d.Size <= int64(maxBytes) {
				d.Content, err = r.Read(at, d.Size)
				if err != nil { // Open returns it; one content must not block the queue
					s.opts.Log.Error("content not read", "envelope", d.Envelope, "queue", q.name,
						"err", err)
				}
				maxBytes -= len(d.Content)
			}
			found = append(found, *d)
		}
		return nil
	})
	return found, err
}

// delivery reads one delivery without its content. It returns nil if the delivery is final by now.
func (s *Spool) delivery(txn *badger.Txn, q *storedQueue,
	l queue.Lease) (*spool.Delivery, packs.Place, error) {
	en, err := decodeEntry(l.Value)
	if err != nil {
		return nil, packs.Place{}, err
	}
	rec, err := readDelivery(txn, l.Seq, en.target)
	if err != nil || rec.isFinal() {
		return nil, packs.Place{}, err
	}
	e, err := readEnvelope(txn, l.From, l.Seq)
	if err != nil {
		return nil, packs.Place{}, err
	}
	d := &spool.Delivery{
		DeliveryID: spool.DeliveryID{Incarnation: s.incarnation, Queue: q.name, Sequence: l.Seq,
			Envelope: tohex[id.Envelope](e.id[:])},
		Token:       l.Token,
		LeasedUntil: cut(l.Until),
		Attempts:    en.attempts,
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
			return nil, packs.Place{}, err
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
	until, err := q.Extend(t, s.opts.Now())
	if err != nil {
		return time.Time{}, fmt.Errorf("extend: %w", err)
	}
	return cut(until), nil
}

// tokenQueue returns the queue of a token, and an empty one if there is no such queue.
func (s *Spool) tokenQueue(t spool.Token) *storedQueue {
	name := queue.NameIn(t)
	s.mu.RLock()
	defer s.mu.RUnlock()
	if q, ok := s.queues[name]; ok {
		return q
	}
	return newQueue(name)
}
