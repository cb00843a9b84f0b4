package badgerspool

import (
	"context"
	"errors"
	"fmt"
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
	if req.Max < 1 || req.Duration <= 0 || req.Session == "" || !validName(req.Queue) || (req.Got != 0 && req.Got >= req.Number) {
		return nil, fmt.Errorf("lease from %.80q: %w", req.Queue, spool.ErrInvalid)
	}
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	q := s.queue(req.Queue)
	if err := q.call(req); err != nil {
		return nil, fmt.Errorf("lease from %s: %w", req.Queue, err)
	}
	for ctx.Err() == nil {
		picked, wait, err := s.pick(q, req)
		if errors.Is(err, errOvertaken) {
			return nil, nil
		}
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
	now := s.opts.Now()
	l, err := q.held(t, now)
	if err != nil {
		return time.Time{}, fmt.Errorf("extend: %w", err)
	}
	return cut(q.prolong(l, now)), nil
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
