package badgerspool

import (
	"sync"
	"sync/atomic"

	"sealpost/internal/id"
	"sealpost/spool"
)

// holdings has the quotas, and the counts of the open uploads. The envelopes that wait are counted
// in the figures of senders and queues, and their total here. So is the total of those that are
// kept for dead letters.
//
// Only the writer adds to the counts, after it has compared them with the quotas. So no two calls
// take the same room.
type holdings struct {
	quotas atomic.Pointer[spool.Quotas] // never changed once it is stored

	mu      sync.Mutex  // guards everything below
	waiting spool.Usage // of all envelopes, as of the last commit
	kept    spool.Usage // of those that wait no more, for dead letters; as of the last commit
	staged  spool.Usage // of all uploads
	bySite  map[id.Site]spool.Usage
	pending int64 // bytes that are reserved and have no blocks on the disk yet
}

// holding is an upload's part of the holdings. holdings.mu guards it.
type holding struct {
	isOpen   bool
	reserved int64
	taken    int64 // bytes of the parts that are durable or being received
	blocks   int64 // of the taken bytes, those that have their blocks on the disk
}

// reservation returns the number of bytes that an upload reserves with so many bytes taken.
func reservation(size, taken int64) int64 { return taken + min(size-taken, spool.LookAhead) }

// begin counts an upload of which so many bytes are durable.
func (h *holdings) begin(u *upload, durable int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	u.held.isOpen = true
	h.add(u.name.sender, spool.Usage{Uploads: 1})
	h.set(u, durable, durable)
}

// take counts n more bytes of an upload as being received.
func (h *holdings) take(u *upload, n int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if u.held.isOpen {
		h.set(u, u.held.taken+n, u.held.blocks)
	}
}

// takeReserved is take for bytes within the reservation. It reports whether they are.
func (h *holdings) takeReserved(u *upload, n int64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if u.held.isOpen && reservation(u.size, u.held.taken+n) <= u.held.reserved {
		h.set(u, u.held.taken+n, u.held.blocks)
		return true
	}
	return false
}

// allocated counts n of the taken bytes as allocated on the disk.
func (h *holdings) allocated(u *upload, n int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if u.held.isOpen {
		h.set(u, u.held.taken, u.held.blocks+n)
	}
}

// giveBack ends the receipt of n bytes that are not durable. So many of them have blocks.
func (h *holdings) giveBack(u *upload, n, blocks int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if u.held.isOpen {
		h.set(u, u.held.taken-n, u.held.blocks-blocks)
	}
}

// end takes an upload out of the counts, if it is there.
func (h *holdings) end(u *upload) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !u.held.isOpen {
		return
	}
	h.add(u.name.sender, spool.Usage{Uploads: -1, Reserved: -u.held.reserved})
	h.pending -= u.held.reserved - u.held.blocks
	u.held = holding{}
}

// set changes an upload's counts. The caller holds h.mu.
func (h *holdings) set(u *upload, taken, blocks int64) {
	reserved := reservation(u.size, taken)
	h.add(u.name.sender, spool.Usage{Reserved: reserved - u.held.reserved})
	h.pending += reserved - blocks - (u.held.reserved - u.held.blocks)
	u.held.reserved, u.held.taken, u.held.blocks = reserved, taken, blocks
}

// add adds to the counts of a sender's uploads and of all. The caller holds h.mu.
func (h *holdings) add(sender id.Site, more spool.Usage) {
	h.staged = h.staged.Plus(more)
	of := h.bySite[sender].Plus(more)
	if of == (spool.Usage{}) {
		delete(h.bySite, sender)
		return
	}
	h.bySite[sender] = of
}

// unallocated returns the number of reserved bytes that have no blocks on the disk yet.
func (h *holdings) unallocated() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.pending
}

// setEnvelopes sets the totals of the envelopes that wait, and of those kept for dead letters.
func (h *holdings) setEnvelopes(waiting, kept spool.Usage) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiting, h.kept = waiting, kept
}

// envelopes returns those totals.
func (h *holdings) envelopes() (waiting, kept spool.Usage) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.waiting, h.kept
}

// ofAll returns the counts of the envelopes that a quota of the whole spool limits.
func ofAll(waiting, kept spool.Usage) spool.Usage {
	return waiting.Plus(spool.Usage{Bytes: kept.Bytes})
}

// check compares a sender's usage and the total with the quotas. The waiting envelopes are the
// caller's, as of the last commit or of the one under way.
func (h *holdings) check(sender id.Site, ofSite, ofAll, more spool.Usage) error {
	h.mu.Lock()
	uploads, staged := h.bySite[sender], h.staged
	h.mu.Unlock()
	q := h.quotas.Load()
	err := q.OfSite(sender).Check(spool.ScopeSite, string(sender), ofSite.Plus(uploads), more)
	if err == nil {
		err = q.Hub.Check(spool.ScopeHub, "", ofAll.Plus(staged), more)
	}
	return err
}

// reservedBy returns the counts that a published upload gives back.
func (h *holdings) reservedBy(u *upload) spool.Usage {
	if u == nil {
		return spool.Usage{}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !u.held.isOpen {
		return spool.Usage{}
	}
	return spool.Usage{Uploads: 1, Reserved: u.held.reserved}
}
