package badgerspool

import (
	"encoding/binary"
	"errors"
	"fmt"

	badger "github.com/dgraph-io/badger/v4"

	"sealpost/internal/id"
	"sealpost/spool"
)

// forgotten is the error of an envelope whose records are deleted.
type forgotten struct{ sender id.Site }

func (f forgotten) Error() string { return spool.ErrForgotten.Error() }

// Unwrap returns ErrForgotten.
func (f forgotten) Unwrap() error { return spool.ErrForgotten }

// lookup finds an envelope by its id. It returns nil if there is none.
//
// The row of a forgotten one holds its sender alone. A name begins with a letter or digit, a
// sequence with a zero byte.
func lookup(txn *badger.Txn, raw [16]byte) (*envelope, error) {
	v, err := get(txn, idKey(raw))
	switch {
	case err != nil || v == nil:
		return nil, err
	case len(v) > 0 && v[0] != 0:
		return nil, forgotten{id.Site(v)}
	case len(v) < 8:
		return nil, fmt.Errorf("%w: envelope id", errCorrupt)
	}
	return readEnvelope(txn, id.Site(v[8:]), binary.BigEndian.Uint64(v))
}

// readEnvelope reads an envelope's record, which must be there.
func readEnvelope(txn *badger.Txn, sender id.Site, seq uint64) (*envelope, error) {
	v, err := get(txn, envelopeKey(sender, seq))
	if err != nil {
		return nil, err
	}
	if v == nil {
		return nil, fmt.Errorf("%w: envelope %d of %s is missing", errCorrupt, seq, sender)
	}
	e, err := decodeEnvelope(sender, seq, v)
	e.asOf = txn.ReadTs()
	return e, err
}

// readDelivery reads the record of a delivery. It returns nil if the delivery waits for the first
// time.
func readDelivery(txn *badger.Txn, seq uint64, index int) (*delivery, error) {
	v, err := get(txn, deliveryKey(seq, index))
	if err != nil || v == nil {
		return nil, err
	}
	return decodeDelivery(v)
}

func readFinals(txn *badger.Txn, seq uint64) (finals, error) {
	v, err := get(txn, finalsKey(seq))
	return decodeFinals(v), err
}

// identify finds the envelope and the recipient of a delivery that matches in all four parts.
func (s *Spool) identify(txn *badger.Txn, d spool.DeliveryID) (*envelope, int, error) {
	raw, ok := unhex(d.Envelope)
	if !ok || d.Incarnation != s.incarnation {
		return nil, 0, spool.ErrNotFound
	}
	e, err := lookup(txn, raw)
	if err != nil && !errors.Is(err, spool.ErrForgotten) {
		return nil, 0, err
	}
	if e == nil || e.seq != d.Sequence || e.target(d.Queue) < 0 {
		return nil, 0, spool.ErrNotFound
	}
	return e, e.target(d.Queue), nil
}

// get reads one value. It returns nil if the key does not exist.
func get(txn *badger.Txn, key []byte) ([]byte, error) {
	item, err := txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the spool: %w", err)
	}
	value, err := item.ValueCopy(nil)
	if err != nil {
		return nil, fmt.Errorf("read the spool: %w", err)
	}
	if value == nil {
		value = []byte{}
	}
	return value, nil
}
