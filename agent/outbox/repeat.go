package outbox

import (
	"context"
	"hash/maphash"
	"sync"

	"sealpost/agent/ledger"
	"sealpost/internal/reason"
)

// A job that mirrors a folder into outbox/ brings the same files at each run, since they were moved
// away. Users are told of a delivered file whose name and content were delivered before.

const (
	// maxRepeats bounds the remembered names of delivered messages, the latest ones.
	maxRepeats = 1 << 16
	// maxRead bounds the content of a file that is read again since only its time differs.
	maxRead = 1 << 30
)

// repeats remembers the latest delivered message of each name and address.
type repeats struct {
	mu     sync.Mutex // guards the fields below
	isRead bool       // the messages from before the start are loaded
	last   map[uint64]int64
	turns  []repeat // a ring, to forget the oldest
	next   int      // in it
	// the latest message under way of each name, in trays with LeavesRepeats
	open map[uint64]int64
}

// claim remembers a message under way, unless there are too many.
func (r *repeats) claim(m ledger.Outgoing) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open == nil {
		r.open = map[uint64]int64{}
	}
	if name := hashOf(m); len(r.open) < maxRepeats || r.open[name] != 0 {
		r.open[name] = max(r.open[name], m.Seq)
	}
}

// underWay returns the latest message under way of a name; 0: none. end forgets it.
func (r *repeats) underWay(m ledger.Outgoing) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.open[hashOf(m)]
}

func (r *repeats) end(m ledger.Outgoing) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, hashOf(m))
}

// repeat has the hash of a name with its tray and address, and its message's place among claims.
type repeat struct {
	name uint64
	seq  int64
}

// nameSeed makes the hashes of this process its own.
var nameSeed = maphash.MakeSeed()

func hashOf(m ledger.Outgoing) uint64 {
	return maphash.String(nameSeed, m.Tray+"\x00"+m.Address+"\x00"+m.Name)
}

// swap remembers a message, and returns the one that had its name before; 0 if there is none.
func (r *repeats) swap(m ledger.Outgoing) (before int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := repeat{hashOf(m), m.Seq}
	if before = r.last[now.name]; before >= now.seq {
		return 0
	}
	if r.last == nil {
		r.last = map[uint64]int64{}
	}
	r.last[now.name] = now.seq
	if len(r.turns) < maxRepeats {
		r.turns = append(r.turns, now)
		return before
	}
	oldest := r.turns[r.next]
	if r.last[oldest.name] == oldest.seq {
		delete(r.last, oldest.name)
	}
	r.turns[r.next] = now
	r.next = (r.next + 1) % maxRepeats
	return before
}

// of returns the latest delivered message of a name, by its place in the order of claims. It
// returns 0 if there is none.
func (r *repeats) of(m ledger.Outgoing) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last[hashOf(m)]
}

// readRepeats reads the latest delivered messages of before the start, and those under way.
func (o *Outbox) readRepeats(ctx context.Context) error {
	r := &o.repeats
	r.mu.Lock()
	known := r.isRead
	r.isRead = true
	r.mu.Unlock()
	if known {
		return nil
	}
	return o.view(ctx, func(tx *ledger.Tx) error {
		err := tx.LatestNames(maxRepeats, func(m ledger.Outgoing) { r.swap(m) })
		if err != nil {
			return err
		}
		return tx.OpenNames(maxRepeats, func(m ledger.Outgoing) {
			if t := o.tray(m.Tray); t != nil && t.LeavesRepeats {
				r.claim(m)
			}
		})
	})
}

// repeated returns reasons for those just delivered messages whose name and content were delivered
// before.
func (h *handles) repeated(ctx context.Context,
	list []ledger.Outgoing) (map[int64]reason.Reason, error) {
	t, told := h.t, map[int64]reason.Reason{}
	if t.RepeatWindow == 0 {
		return nil, nil
	}
	if err := t.o.readRepeats(ctx); err != nil {
		return nil, err
	}
	before := map[int64]int64{} // the earlier message's Seq, by that of the later one
	var both []int64
	for _, m := range list {
		if m.State != ledger.Delivered || m.Digest == "" {
			continue
		}
		if seq := t.o.repeats.swap(m); seq > 0 {
			before[m.Seq] = seq
			both = append(both, m.Seq, seq)
		}
	}
	if len(both) == 0 {
		return nil, nil
	}
	rows := map[int64]ledger.Outgoing{}
	err := t.o.view(ctx, func(tx *ledger.Tx) error {
		list, err := tx.Numbered(both)
		for _, m := range list {
			rows[m.Seq] = m
		}
		return err
	})
	for later, earlier := range before {
		m, first := rows[later], rows[earlier]
		if err == nil && first.Tray == m.Tray && first.Name == m.Name &&
			first.State == ledger.Delivered && m.Claimed.Sub(first.FiledAt) < t.RepeatWindow &&
			h.hasContentOf(m, first) {
			told[later] = reason.New("sent-before", "message", first.ID, "time", first.FiledAt)
			t.log.Info("sent before", "message", m.ID, "as", first.ID)
		}
		h.Relax()
	}
	return told, err
}

// hasContentOf reports whether two messages have the same content. The time of a file does not
// count, since some programs copy without it.
func (h *handles) hasContentOf(m, first ledger.Outgoing) bool {
	switch {
	case m.Digest == first.Digest:
		return true
	case m.Folder || first.Folder || m.Source.Size != first.Source.Size ||
		m.Source.Size > maxRead:
		return false
	}
	return h.isContentOf(contentAt(m), first)
}

// isContentOf reports whether the file at a path has the content of a message, with any time.
func (h *handles) isContentOf(at string, first ledger.Outgoing) bool {
	d, name, err := h.At(at)
	if err != nil {
		return false
	}
	earlier := Earlier{Name: first.Name, Source: first.Source, Digest: first.Digest}
	return earlier.isContentOf(d, name)
}
