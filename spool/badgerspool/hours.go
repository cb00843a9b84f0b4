package badgerspool

import (
	"sort"
	"sync"
	"time"
)

// hours is the index by time: the sequence with which each hour began. So a listing of last week
// does not read the envelopes of this week. It costs one row an hour instead of one per envelope.
// Sequences give the order. When the clock is set back, an hour begins a second time.
type hours struct {
	mu     sync.Mutex // guards begins
	begins []hourBegin
}

// hourBegin is the first sequence of the envelopes that were spooled in an hour.
type hourBegin struct {
	seq  uint64
	hour int64 // since 1970
}

func hourOf(t time.Time) int64 { return t.Unix() / 3600 }

// current returns the hour of the newest envelope, 0 if there is none.
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

// last returns the highest sequence, at most seq, that may have been spooled in [from, to). It
// returns false if there is none. A zero time does not restrict.
func (h *hours) last(seq uint64, from, to time.Time) (uint64, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := sort.Search(len(h.begins), func(i int) bool { return h.begins[i].seq > seq }) - 1
	for ; i >= 0; i-- {
		isAfter := !to.IsZero() && !time.Unix(h.begins[i].hour*3600, 0).Before(to)
		isBefore := !from.IsZero() && h.begins[i].hour < hourOf(from)
		if !isAfter && !isBefore {
			return seq, true
		}
		seq = h.begins[i].seq - 1
	}
	return 0, false
}

// mark records the hour of an envelope if it is the first one of that hour.
func (g *group) mark(seq uint64) {
	hour := hourOf(g.now)
	if hour == g.hour {
		return
	}
	g.hour = hour
	g.set(hourKey(seq), u64(nil, uint64(hour)))
	g.after = append(g.after, func() { g.s.hours.add(hourBegin{seq, hour}) })
}
