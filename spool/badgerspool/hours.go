package badgerspool

import (
	"sort"
	"sync"
	"time"

	badger "github.com/dgraph-io/badger/v4"
)

// hours is the index by time: it knows with which sequence each hour began, so a listing of last
// week does not walk through this one. It costs one row an hour instead of one per envelope.
// Sequences rule, not the clock: when that is set back, an hour simply begins once more.
type hours struct {
	mu     sync.Mutex // guards begins
	begins []hourBegin
}

// hourBegin says that from this sequence on, envelopes were spooled in this hour.
type hourBegin struct {
	seq  uint64
	hour int64 // since 1970
}

func hourOf(t time.Time) int64 { return t.Unix() / 3600 }

// current is the hour of the newest envelope; 0 when there is none.
func (h *hours) current() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.begins) == 0 {
		return 0
	}
	return h.begins[len(h.begins)-1].hour
}

func (h *hours) add(b hourBegin) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.begins = append(h.begins, b)
}

// last returns the highest sequence, at most seq, at which an envelope may have been spooled in
// [from, to); false when there is none. A zero time does not restrict.
func (h *hours) last(seq uint64, from, to time.Time) (uint64, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := sort.Search(len(h.begins), func(i int) bool { return h.begins[i].seq > seq }) - 1
	for ; i >= 0; i-- {
		late := !to.IsZero() && !time.Unix(h.begins[i].hour*3600, 0).Before(to)
		early := !from.IsZero() && h.begins[i].hour < hourOf(from)
		if !late && !early {
			return seq, true
		}
		seq = h.begins[i].seq - 1
	}
	return 0, false
}

// mark notes, in the writer, that an envelope is the first of its hour.
func (g *group) mark(seq uint64) {
	hour := hourOf(g.now)
	if hour == g.hour {
		return
	}
	g.hour = hour
	g.set(hourKey(seq), u64(nil, uint64(hour)))
	g.after = append(g.after, func() { g.s.hours.add(hourBegin{seq, hour}) })
}

func (s *Spool) restoreHours(txn *badger.Txn) error {
	return each(txn, keyHour, func(name string, v []byte) error {
		seq, hour := decoder{data: []byte(name)}, decoder{data: v}
		s.hours.add(hourBegin{seq.fixed(), int64(hour.fixed())})
		return nil
	})
}
