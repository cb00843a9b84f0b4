package badgerspool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"strings"

	badger "github.com/dgraph-io/badger/v4"

	"sealpost/internal/id"
)

// upgrade makes the present format of an older one. If that has no counts, it reads every envelope
// once and counts anew. If it has no lanes, it copies every waiting delivery into the lane of its
// sender. Then it reads every event once. The stamp is written last: after a crash the next start
// begins anew, or an older program finds its rows.
func (s *Spool) upgrade(st stamp) error {
	if st.Format >= format {
		return nil
	}
	if st.Format < formatCounted {
		if err := s.countAnew(); err != nil {
			return fmt.Errorf("count the envelopes anew: %w", err)
		}
	}
	if st.Format < formatLanes {
		if err := s.copyToLanes(); err != nil {
			return fmt.Errorf("sort the waiting deliveries by sender: %w", err)
		}
	}
	if err := s.noteLastEvents(); err != nil {
		return fmt.Errorf("find the newest event of each envelope: %w", err)
	}
	return nil
}

// noteLastEvents writes the number of its newest event into the record of each envelope that has
// one.
func (s *Spool) noteLastEvents() error {
	return s.sweep(keyEvent, func(txn *badger.Txn, key, value []byte) ([]pair, error) {
		e, err := decodeEvent(value)
		if err != nil || e.kind == eventRoute {
			return nil, err
		}
		f, err := readFinals(txn, e.seq)
		if err != nil {
			return nil, err
		}
		f.last = binary.BigEndian.Uint64(key[len(key)-8:])
		return []pair{{finalsKey(e.seq), f.encode()}}, nil
	})
}

// countAnew writes the figures of every queue, site and pack.
func (s *Spool) countAnew() error {
	r := recount{
		sites:  make(map[id.Site]siteFigures),
		queues: make(map[string]figures),
		packs:  make(map[uint64]int64),
	}
	if err := s.view(r.read); err != nil {
		return err
	}
	return s.writeRows(r.rows())
}

// copyToLanes copies the rows of all waiting deliveries. Those of an earlier attempt go first.
func (s *Spool) copyToLanes() error {
	if err := s.drop(keyEntry, keyRetry, keyLane); err != nil {
		return err
	}
	known := make(map[string]bool)
	for _, kind := range []byte{oldEntry, oldRetry} {
		err := s.sweep(kind, func(txn *badger.Txn, key, value []byte) ([]pair, error) {
			name, place, _ := strings.Cut(string(key[1:]), "\x00")
			d := decoder{data: value}
			d.raw(16)
			target, attempts, from := int(d.uint()), int(d.uint()), id.Site(d.string())
			since := int64(0)
			if len(d.data) > 0 {
				since = d.int()
			}
			at := entryPosition([]byte(place), nil, from)
			e, err := readEnvelope(txn, from, at.Seq)
			if err := errors.Join(err, d.close("queue entry")); err != nil {
				return nil, err
			}
			en := e.entry(target)
			en.attempts, en.since = attempts, since
			rows := []pair{{entryAt(name, at), en.encode()}}
			if lane := laneKey(name, from); !known[string(lane)] {
				known[string(lane)] = true
				rows = append(rows, pair{lane, laneRow{}.encode()})
			}
			return rows, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// drop deletes every row of some kinds.
func (s *Spool) drop(kinds ...byte) error {
	for _, kind := range kinds {
		err := s.sweep(kind, func(_ *badger.Txn, key, _ []byte) ([]pair, error) {
			return []pair{{key: key}}, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// sweep commits the rows that f returns for the rows of one kind, some at a time.
func (s *Spool) sweep(kind byte,
	f func(txn *badger.Txn, key, value []byte) ([]pair, error)) error {
	for from := []byte{kind}; from != nil; {
		var rows []pair
		err := s.view(func(txn *badger.Txn) error {
			it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{kind}})
			defer it.Close()
			for it.Seek(from); it.Valid(); it.Next() {
				key := it.Item().KeyCopy(nil)
				if len(rows) >= groupEntries/2 {
					from = key
					return nil
				}
				value, err := it.Item().ValueCopy(nil)
				if err != nil {
					return err
				}
				more, err := f(txn, key, value)
				if err != nil {
					return err
				}
				rows = append(rows, more...)
			}
			from = nil
			return nil
		})
		if err == nil && len(rows) > 0 {
			err = s.writeRows(rows)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// recount counts everything from the envelopes.
type recount struct {
	newest uint64 // the number of the last commit
	sites  map[id.Site]siteFigures
	queues map[string]figures
	packs  map[uint64]int64
	sums   []uint64 // sequences whose checksums are needed no more
}

// read reads the figures of any format, and then every envelope.
func (r *recount) read(txn *badger.Txn) error {
	v, err := get(txn, []byte{keyCommits})
	if err != nil {
		return err
	}
	d := decoder{data: v}
	r.newest = d.fixed()
	err = errors.Join(
		each(txn, keyFigures, func(name string, v []byte) error {
			f, err := decodeOldFigures(v)
			r.queues[name] = f
			r.newest = max(r.newest, f.commit)
			return err
		}),
		each(txn, keySite, func(name string, v []byte) error {
			d := decoder{data: v}
			f := siteFigures{commit: d.uint(), last: d.uint()}
			r.sites[id.Site(name)] = f
			r.newest = max(r.newest, f.commit)
			return nil
		}),
		each(txn, keyPack, func(name string, _ []byte) error {
			d := decoder{data: []byte(name)}
			r.packs[d.fixed()] = 0
			return nil
		}))
	if err != nil {
		return err
	}
	return each(txn, keyEnvelope, func(name string, v []byte) error {
		sender := id.Site(name[:len(name)-9])
		e, err := decodeEnvelope(sender, binary.BigEndian.Uint64([]byte(name[len(name)-8:])), v)
		if err != nil {
			return err
		}
		return r.count(txn, e)
	})
}

// count adds an envelope.
func (r *recount) count(txn *badger.Txn, e *envelope) error {
	f, err := readFinals(txn, e.seq)
	if err != nil {
		return err
	}
	for i, t := range e.targets {
		if f.final&(1<<i) == 0 {
			q := r.queues[t.Queue]
			q.bytes += e.size
			q.messages += int64(len(e.messages))
			r.queues[t.Queue] = q
		}
	}
	st := r.sites[e.sender]
	st.record(e)
	defer func() { r.sites[e.sender] = st }()
	if bits.OnesCount64(f.final) == len(e.targets) {
		if e.parts() > 1 {
			r.sums = append(r.sums, e.seq)
		}
		return nil
	}
	st.waiting = st.waiting.Plus(e.usage())
	if e.isSmall() {
		r.packs[e.at.Pack]++
	}
	return nil
}

// pair is a key and its new value; nil deletes it.
type pair struct{ key, value []byte }

// rows returns the rows of the present format.
func (r *recount) rows() (all []pair) {
	for name, f := range r.queues {
		all = append(all, pair{figuresKey(name), f.encode()})
	}
	for name, f := range r.sites {
		f.commit = r.newest // nothing is behind it to be counted again
		all = append(all, pair{siteKey(name), f.encode()})
	}
	for n, live := range r.packs {
		all = append(all, pair{packKey(n), u64(nil, uint64(live))})
	}
	for _, seq := range r.sums {
		all = append(all, pair{key: sumsKey(seq)})
	}
	return all
}

// writeRows commits rows before the writer runs, some at a time.
func (s *Spool) writeRows(all []pair) error {
	const step = groupEntries / 2
	for len(all) > 0 {
		some := all[:min(step, len(all))]
		all = all[len(some):]
		g := s.newGroup()
		for _, r := range some {
			if r.value == nil {
				g.del(r.key)
			} else {
				g.set(r.key, r.value)
			}
		}
		err := g.failed
		if err == nil {
			err = s.seams.commit(g.txn, g.version)
		}
		g.txn.Discard()
		if err != nil {
			return err
		}
		s.db.SetDiscardTs(s.snapshots.advance(g.version))
	}
	return s.folder.sync()
}

// decodeOldFigures decodes the figures of format 1, whose last number is the content held, or later
// ones. It drops the counts that upgrade makes anew.
func decodeOldFigures(data []byte) (f figures, err error) {
	d := decoder{data: data}
	f.commit, f.last = d.uint(), d.uint()
	d.uint() // where the queue began
	d.int()
	d.uint()
	for _, n := range []*int64{&f.waiting, &f.released, &f.settled, &f.dead, &f.envelopes} {
		*n = d.int()
	}
	for d.int(); len(d.data) > 0; {
		d.int()
	}
	return f, d.close("queue figures")
}
