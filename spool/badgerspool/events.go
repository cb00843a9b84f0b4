package badgerspool

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	badger "github.com/dgraph-io/badger/v4"

	"sealpost/internal/id"
	"sealpost/spool"
)

// site is what memory holds of one site: how many events it has, and who waits for the next.
type site struct {
	name id.Site

	mu      sync.Mutex // guards everything below
	figures siteFigures
	changed chan struct{} // closed when there are new events; nil when nobody waits
}

func (st *site) load() siteFigures {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.figures
}

func (st *site) store(f siteFigures) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.figures = f
	if st.changed != nil {
		close(st.changed)
		st.changed = nil
	}
}

// look returns the number of the newest event and a channel that is closed when there is a newer one.
func (st *site) look() (uint64, <-chan struct{}) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.changed == nil {
		st.changed = make(chan struct{})
	}
	return st.figures.last, st.changed
}

// The kinds of events as they are stored.
const (
	eventSettled = 1
	eventDead    = 2
	eventRoute   = 3
)

// eventRecord is a stored event. A receipt is not copied into it: it lies with the delivery (seq, index).
type eventRecord struct {
	kind      byte
	commit    uint64 // its place in the order of all commits
	time      time.Time
	envelope  [16]byte
	recipient id.Site
	seq       uint64
	index     int
	code      string
	address   string
	route     id.Hash
}

func (e eventRecord) encode() []byte {
	b := make(encoder, 0, 64)
	b.raw([]byte{e.kind})
	b.uint(e.commit)
	b.stamp(e.time)
	if e.kind == eventRoute {
		b.string(e.address)
		b.hash(e.route)
		return b
	}
	b.raw(e.envelope[:])
	b.string(string(e.recipient))
	b.uint(e.seq)
	b.uint(uint64(e.index))
	b.string(e.code)
	return b
}

func decodeEvent(data []byte) (e eventRecord, err error) {
	d := decoder{data: data}
	e.kind, e.commit, e.time = d.raw(1)[0], d.uint(), d.stamp()
	if e.kind == eventRoute {
		e.address, e.route = d.string(), d.hash()
		return e, d.close("event")
	}
	copy(e.envelope[:], d.raw(16))
	e.recipient, e.seq, e.index, e.code = id.Site(d.string()), d.uint(), int(d.uint()), d.string()
	return e, d.close("event")
}

// Events implements spool.Spool.
func (s *Spool) Events(ctx context.Context, name id.Site, after spool.Cursor, maxBytes int) ([]spool.Event, spool.Cursor, error) {
	if !validName(string(name)) {
		return nil, after, fmt.Errorf("events of %.40q: %w", name, spool.ErrInvalid)
	}
	if err := s.enter(); err != nil {
		return nil, after, err
	}
	defer s.leave()
	st := s.site(name)
	for ctx.Err() == nil {
		last, changed := st.look()
		if uint64(after) > last {
			return nil, after, fmt.Errorf("events of %s after %d: %w: there are %d", name, after, spool.ErrInvalid, last)
		}
		if uint64(after) < last {
			return s.readEvents(name, uint64(after), last, maxBytes)
		}
		if err := s.wait(ctx, waiting{changed, -1}); err != nil {
			return nil, after, err
		}
	}
	return nil, after, nil
}

// eventCost is what an event takes in an answer beside its strings.
const eventCost = 320

func (s *Spool) readEvents(name id.Site, after, last uint64, maxBytes int) (found []spool.Event, next spool.Cursor, err error) {
	err = s.view(func(txn *badger.Txn) error {
		opts := badger.IteratorOptions{Prefix: named(keyEvent, name), PrefetchValues: true, PrefetchSize: 16}
		it := txn.NewIterator(opts)
		defer it.Close()
		size := 0
		for it.Seek(eventKey(name, after+1)); it.Valid() && after < last; it.Next() {
			key := it.Item().Key()
			n := binary.BigEndian.Uint64(key[len(key)-8:])
			if n != after+1 {
				return fmt.Errorf("%w: event %d of %s is missing", errCorrupt, after+1, name)
			}
			e, err := readEvent(txn, it.Item(), n)
			if err != nil {
				return err
			}
			size += eventCost + len(e.Receipt) + len(e.Code) + len(e.Address)
			if len(found) > 0 && size > maxBytes {
				return nil
			}
			found = append(found, e)
			after = n
		}
		return nil
	})
	if err != nil {
		return nil, 0, fmt.Errorf("events of %s: %w", name, err)
	}
	return found, spool.Cursor(after), nil
}

func readEvent(txn *badger.Txn, item *badger.Item, n uint64) (spool.Event, error) {
	var rec eventRecord
	err := item.Value(func(v []byte) (err error) { rec, err = decodeEvent(v); return err })
	if err != nil {
		return spool.Event{}, fmt.Errorf("read event %d: %w", n, err)
	}
	e := spool.Event{Sequence: spool.Cursor(n), Time: rec.time, Code: rec.code, Recipient: rec.recipient}
	switch rec.kind {
	case eventRoute:
		e.Kind, e.Address, e.RouteVersion = spool.EventRoute, rec.address, rec.route
		return e, nil
	case eventDead:
		e.Kind = spool.EventDead
	default:
		e.Kind = spool.EventSettled
		d, err := readDelivery(txn, rec.seq, rec.index)
		if err != nil || d == nil {
			return e, fmt.Errorf("%w: receipt of event %d: %w", errCorrupt, n, err)
		}
		e.Receipt = d.receipt
	}
	e.Envelope = tohex[id.Envelope](rec.envelope[:])
	return e, nil
}
