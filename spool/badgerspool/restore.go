package badgerspool

import (
	"errors"
	"fmt"
	"strings"

	badger "github.com/dgraph-io/badger/v4"

	"sealpost/internal/id"
)

// restore loads queues, sites and uploads into memory.
func (s *Spool) restore() error {
	err := s.view(func(txn *badger.Txn) error {
		v, err := get(txn, []byte{keyCommits})
		if err != nil {
			return err
		}
		d := decoder{data: v}
		newest := d.fixed()
		live := make(map[uint64]int64) // contents by pack
		err = errors.Join(
			each(txn, keyFigures, func(name string, v []byte) error {
				f, err := decodeFigures(v)
				s.queues[name] = newQueue(name)
				s.queues[name].restore(f)
				newest = max(newest, f.commit)
				return err
			}),
			each(txn, keyLane, func(name string, v []byte) error {
				c, err := decodeLane(v)
				of, from, _ := strings.Cut(name, "\x00")
				if q := s.queues[of]; q != nil {
					q.restoreLane(id.Site(from), c)
				}
				return err
			}),
			each(txn, keySite, func(name string, v []byte) error {
				f, err := decodeSiteFigures(v)
				s.sites[id.Site(name)] = &site{name: id.Site(name), figures: f, read: f.read}
				newest = max(newest, f.commit)
				return err
			}),
			s.replay(txn),
			each(txn, keyKept, func(_ string, v []byte) (err error) {
				s.holdings.kept, err = decodeUsage(v)
				return err
			}),
			each(txn, keyHour, func(name string, v []byte) error {
				seq, hour := decoder{data: []byte(name)}, decoder{data: v}
				s.hours.add(hourBegin{seq.fixed(), int64(hour.fixed())})
				return nil
			}),
			each(txn, keyPack, func(name string, v []byte) error {
				n, count := decoder{data: []byte(name)}, decoder{data: v}
				live[n.fixed()] = int64(count.fixed())
				return nil
			}))
		if err != nil {
			return err
		}
		if err := errors.Join(s.chain.restore(txn), s.restoreLoss(txn)); err != nil {
			return err
		}
		s.commits.Store(newest)
		return s.packs.Restore(live)
	})
	if err != nil {
		return fmt.Errorf("restore the figures: %w", err)
	}
	return s.restoreUploads()
}

// replay counts the envelopes that were published after the row of their sender was written. None
// of their deliveries is final, since that would have written the row again.
func (s *Spool) replay(txn *badger.Txn) error {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{keyEnvelope}})
	defer it.Close()
	for it.Rewind(); it.Valid(); {
		key := it.Item().Key()
		sender := id.Site(key[1 : len(key)-9])
		st := s.site(sender)
		f := st.load()
		prefix := named(keyEnvelope, sender)
		for it.Seek(envelopeKey(sender, f.commit+1)); it.ValidForPrefix(prefix); it.Next() {
			value, err := it.Item().ValueCopy(nil)
			if err != nil {
				return err
			}
			seq := entryPosition(it.Item().Key(), prefix, sender).Seq
			e, err := decodeEnvelope(sender, seq, value)
			if err != nil {
				return err
			}
			f.publish(e)
		}
		st.store(f)
		s.holdings.waiting = s.holdings.waiting.Plus(f.waiting)
	}
	return nil
}

// each calls f with every name under one kind of key.
func each(txn *badger.Txn, kind byte, f func(name string, value []byte) error) error {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{kind}, PrefetchValues: true,
		PrefetchSize: 64})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		item := it.Item()
		if err := item.Value(func(v []byte) error {
			return f(string(item.Key()[1:]), v)
		}); err != nil {
			return err
		}
	}
	return nil
}
