package badgerspool

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	badger "github.com/dgraph-io/badger/v4"

	"sealpost/internal/id"
	"sealpost/spool"
)

// Events implements spool.Spool.
func (s *Spool) Events(ctx context.Context, name id.Site, after spool.Cursor,
	maxBytes int) ([]spool.Event, spool.Cursor, error) {
	if !isValidName(string(name)) {
		return nil, after, fmt.Errorf("events of %.40q: %w", name, spool.ErrInvalid)
	}
	if err := s.enter(); err != nil {
		return nil, after, err
	}
	defer s.leave()
	st := s.site(name)
	for ctx.Err() == nil {
		f, changed := st.look()
		if uint64(after) > f.last {
			return nil, after, fmt.Errorf("events of %s after %d: %w: there are %d", name, after,
				spool.ErrInvalid, f.last)
		}
		st.acknowledge(uint64(after))
		after = max(after, spool.Cursor(f.forgotten))
		if uint64(after) < f.last {
			found, next, err := s.readEvents(name, uint64(after), f.last, maxBytes)
			if err != nil || len(found) > 0 {
				return found, next, err
			}
			continue // all were forgotten meanwhile
		}
		if err := s.wait(ctx, changed, -1); err != nil {
			return nil, after, err
		}
	}
	return nil, after, nil
}

// eventCost is the size of an event in an answer beside its strings, in bytes.
const eventCost = 320

// forgottenOf returns the number of the newest event of a site that was forgotten.
func forgottenOf(txn *badger.Txn, name id.Site) (uint64, error) {
	row, err := get(txn, siteKey(name))
	if err != nil || row == nil {
		return 0, err
	}
	f, err := decodeSiteFigures(row)
	return f.forgotten, err
}

// readEvents reads the events after a number up to last. A gap is an error.
func (s *Spool) readEvents(name id.Site, after, last uint64,
	maxBytes int) (found []spool.Event, next spool.Cursor, err error) {
	err = s.view(func(txn *badger.Txn) error {
		opts := badger.IteratorOptions{Prefix: named(keyEvent, name), PrefetchValues: true,
			PrefetchSize: 16}
		it := txn.NewIterator(opts)
		defer it.Close()
		size := 0
		for it.Seek(eventKey(name, after+1)); it.Valid() && after < last; it.Next() {
			key := it.Item().Key()
			n := binary.BigEndian.Uint64(key[len(key)-8:])
			if n != after+1 && len(found) == 0 {
				if after, err = forgottenOf(txn, name); err != nil { // meanwhile
					return err
				}
			}
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

// readEvent decodes one event. The receipt of a settled one is read from its delivery.
func readEvent(txn *badger.Txn, item *badger.Item, n uint64) (spool.Event, error) {
	var rec eventRecord
	err := item.Value(func(v []byte) (err error) { rec, err = decodeEvent(v); return err })
	if err != nil {
		return spool.Event{}, fmt.Errorf("read event %d: %w", n, err)
	}
	e := spool.Event{Sequence: spool.Cursor(n), Time: rec.time, Code: rec.code,
		Recipient: rec.recipient}
	switch rec.kind {
	case eventRoute:
		e.Kind, e.Address, e.RouteVersion = spool.EventRoute, rec.address, rec.route
		return e, nil
	case eventDead:
		e.Kind = spool.EventDead
	case eventRequeue:
		e.Kind = spool.EventRequeued
	default:
		e.Kind = spool.EventSettled
		d, err := readDelivery(txn, rec.seq, rec.index)
		if err == nil && d == nil {
			err = errors.New("its delivery is missing")
		}
		if err != nil {
			return e, fmt.Errorf("%w: receipt of event %d: %w", errCorrupt, n, err)
		}
		e.Receipt = d.receipt
	}
	e.Envelope = tohex[id.Envelope](rec.envelope[:])
	return e, nil
}
