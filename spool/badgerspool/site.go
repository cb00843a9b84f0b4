package badgerspool

import (
	"sync"
	"sync/atomic"
	"time"

	"sealpost/internal/id"
)

// site is one site in memory: its figures, and the calls that wait for its next event.
type site struct {
	name    id.Site
	refused atomic.Bool // by a quota, at its last publish

	mu      sync.Mutex // guards everything below
	figures siteFigures
	read    uint64        // the site needs no event up to it
	changed chan struct{} // closed when there are new events; nil when no call waits
}

func newSite(name id.Site) *site { return &site{name: name} }

// site returns a site, which may have had no event yet.
func (s *Spool) site(name id.Site) *site { return member(s, s.sites, name, newSite) }

func (st *site) load() siteFigures {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.figures
}

// store sets the figures of a commit, and wakes calls that wait for events if there are new ones.
func (st *site) store(f siteFigures) {
	st.mu.Lock()
	defer st.mu.Unlock()
	isTold := f.last != st.figures.last
	st.figures = f
	if isTold && st.changed != nil {
		close(st.changed)
		st.changed = nil
	}
}

// look returns the figures, and a channel that closes when there is a newer event.
func (st *site) look() (siteFigures, <-chan struct{}) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.changed == nil {
		st.changed = make(chan struct{})
	}
	return st.figures, st.changed
}

// acknowledge notes that the site needs no event up to a number.
func (st *site) acknowledge(n uint64) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.read = max(st.read, n)
}

// readUpTo returns the number of the newest event that the site does not need.
func (st *site) readUpTo() uint64 {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.read
}

// The kinds of events as they are stored.
const (
	eventSettled = 1
	eventDead    = 2
	eventRoute   = 3
	eventRequeue = 4
)

// eventRecord is a stored event. A receipt is not copied into it: it lies with the delivery (seq,
// index).
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
