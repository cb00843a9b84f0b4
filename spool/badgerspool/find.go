package badgerspool

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"

	badger "github.com/dgraph-io/badger/v4"

	"sealpost/internal/id"
	"sealpost/spool"
	"sealpost/spool/badgerspool/queue"
)

// A listing's cursor is the place of the last record given: the envelope's sequence, then the
// record's place in it.
const (
	placeBits = 14 // spool.MaxMessages * spool.MaxRecipients places
	lastPlace = 1<<placeBits - 1
)

// maxLooked limits the envelopes that one page reads, so that a rare match cannot block a caller.
// Such a page has fewer records than asked for, and a cursor.
const maxLooked = 5000

// Find implements spool.Spool.
func (s *Spool) Find(ctx context.Context, q spool.Query, after spool.Cursor,
	max int) ([]spool.Record, spool.Cursor, error) {
	if q.Sender == "" && q.Recipient == "" || max < 1 {
		return nil, 0, fmt.Errorf("find: %w: neither sender nor recipient", spool.ErrInvalid)
	}
	if err := s.enter(); err != nil {
		return nil, 0, err
	}
	defer s.leave()
	f := &finder{s: s, ctx: ctx, q: q, max: max, seq: math.MaxUint64 >> placeBits, place: -1}
	if after != 0 {
		f.seq, f.place = uint64(after)>>placeBits, int(after&lastPlace)
	}
	index, ok := chooseIndex(q)
	if !ok {
		return nil, 0, nil // no message can have such a uid
	}
	var next spool.Cursor
	err := s.view(func(txn *badger.Txn) (err error) {
		next, err = f.walk(txn, index)
		return err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("find: %w", err)
	}
	return f.found, next, nil
}

// chooseIndex returns the narrowest index for a query.
func chooseIndex(q spool.Query) (prefix []byte, ok bool) {
	switch {
	case q.UID != "":
		raw, ok := unhex(q.UID)
		return append([]byte{keyUID}, raw[:]...), ok
	case q.Message != "":
		return named(keyMessage, q.Message), true
	case q.Recipient != "":
		return named(keyRecipient, q.Recipient), true
	}
	return named(keyEnvelope, q.Sender), true
}

// finder is one page of a listing under way.
type finder struct {
	s     *Spool
	ctx   context.Context
	q     spool.Query
	max   int
	seq   uint64 // look at this envelope and older ones
	place int    // in the envelope seq: only behind this place
	found []spool.Record
}

// walk reads the index from the newest envelope to the oldest, and returns the cursor of the next
// page.
func (f *finder) walk(txn *badger.Txn, prefix []byte) (spool.Cursor, error) {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix, Reverse: true})
	defer it.Close()
	at := func(seq uint64) []byte {
		return append(u64(prefix[:len(prefix):len(prefix)], seq), 0xff)
	}
	looked, last := 0, uint64(0)
	for it.Seek(at(f.seq)); it.Valid(); {
		seq := binary.BigEndian.Uint64(it.Item().Key()[len(prefix):])
		if seq == last { // another message of the same envelope
			it.Next()
			continue
		}
		next, ok := f.s.hours.last(seq, f.q.From, f.q.To)
		if !ok {
			return 0, nil
		}
		if next != seq { // its hour was not asked for
			it.Seek(at(next))
			continue
		}
		if looked++; looked > maxLooked {
			return spool.Cursor(last<<placeBits | lastPlace), nil
		}
		if err := f.ctx.Err(); err != nil {
			return 0, err
		}
		last = seq
		page, err := f.envelope(txn, it.Item(), prefix[0], seq)
		if err != nil || page != 0 {
			return page, err
		}
		it.Next()
	}
	return 0, nil
}

// envelope adds the matching records of one envelope. It returns a cursor if the page is full.
func (f *finder) envelope(txn *badger.Txn, item *badger.Item, kind byte,
	seq uint64) (spool.Cursor, error) {
	e, err := f.read(txn, item, kind, seq)
	if err != nil || e == nil || e.spooled.Before(f.q.From) ||
		!f.q.To.IsZero() && !e.spooled.Before(f.q.To) {
		return 0, err
	}
	outcomes := make([]*delivery, len(e.targets))
	for i, m := range e.messages {
		if f.q.Message != "" && m.ID != f.q.Message || f.q.UID != "" && m.UID != f.q.UID {
			continue
		}
		for j, t := range e.targets {
			place := i*spool.MaxRecipients + j
			if f.q.Recipient != "" && t.Site != f.q.Recipient || seq == f.seq && place <= f.place {
				continue
			}
			if len(f.found) == f.max {
				return spool.Cursor(f.seq<<placeBits | uint64(f.place)), nil
			}
			if outcomes[j] == nil {
				if outcomes[j], err = f.outcome(txn, e, j); err != nil {
					return 0, err
				}
			}
			f.found = append(f.found, record(e, i, j, outcomes[j]))
			f.seq, f.place = seq, place
		}
	}
	return 0, nil
}

// read loads an envelope that an index names. It returns nil if the query wants another sender.
func (f *finder) read(txn *badger.Txn, item *badger.Item, kind byte,
	seq uint64) (*envelope, error) {
	if kind == keyEnvelope {
		v, err := item.ValueCopy(nil)
		if err != nil {
			return nil, err
		}
		return decodeEnvelope(f.q.Sender, seq, v)
	}
	var sender id.Site
	if err := item.Value(func(v []byte) error { sender = id.Site(v); return nil }); err != nil {
		return nil, err
	}
	if f.q.Sender != "" && sender != f.q.Sender {
		return nil, nil
	}
	return readEnvelope(txn, sender, seq)
}

// outcome returns the record of a delivery, and an empty one if it waits for the first time.
func (f *finder) outcome(txn *badger.Txn, e *envelope, index int) (*delivery, error) {
	d, err := readDelivery(txn, e.seq, index)
	if err != nil {
		return nil, err
	}
	if d == nil {
		d = &delivery{}
	}
	if !d.isFinal() && d.firstLeased.IsZero() {
		d.firstLeased = f.s.queue(e.targets[index].Queue).FirstLeased(
			queue.Position{From: e.sender, Due: d.due, Seq: e.seq})
	}
	return d, nil
}

// record returns the record of one message for one recipient.
func record(e *envelope, message, target int, d *delivery) spool.Record {
	m, t := e.messages[message], e.targets[target]
	r := spool.Record{
		Message: m.ID, UID: m.UID, Envelope: tohex[id.Envelope](e.id[:]), Sender: e.sender,
		Recipient: t.Site, Queue: t.Queue, Address: e.address.String(), Sent: m.Sent,
		Spooled: e.spooled, FirstLeased: d.firstLeased, State: "waiting", Code: d.code,
		Size: e.size,
	}
	switch d.state {
	case stateSettled:
		r.State, r.Acknowledged = spool.OutcomeDelivered, d.time
		if code, refused := d.refused[message]; refused {
			r.State, r.Code = spool.OutcomeRefused, code
		}
	case stateDead:
		r.State = "dead"
	}
	return r
}
