package badgerspool

import (
	"context"
	"path/filepath"
	"sync"
	"time"

	"sealpost/internal/id"
)

// uploadName names an upload. Two senders may use the same envelope id until one of them has
// published.
type uploadName struct {
	sender   id.Site
	envelope id.Envelope
	raw      [16]byte
}

// upload is a large envelope on its way. It has a sparse file of the full size and a list of
// durable parts. Blocks of the file exist for the durable parts and for those being received.
type upload struct {
	s    *Spool
	name uploadName
	size int64
	crcs []uint32
	sums [32]byte
	path string
	held holding // guarded by holdings.mu

	mu     sync.Mutex // guards everything below
	holder int        // counts the callers; only the newest may write
	have   []byte     // a bit per part that is durable
	noted  []byte     // have, and the parts of the commit under way
	absent int
	slots  map[int]*slot
	freed  chan struct{} // closed when a slot becomes free; nil when no call waits for one
	failed int           // failed syncs of the file
	over   fate
	active time.Time
}

// fate is the state of an upload.
type fate int

const (
	underWay fate = iota
	published
	aborted // or expired
)

func (s *Spool) newUpload(name uploadName, size int64, crcs []uint32) *upload {
	return &upload{
		s: s, name: name, size: size, crcs: crcs, sums: sumsHash(size, crcs),
		path:  filepath.Join(s.content.staging, string(name.sender)+"."+string(name.envelope)),
		have:  make([]byte, (len(crcs)+7)/8),
		noted: make([]byte, (len(crcs)+7)/8),
		slots: make(map[int]*slot), absent: len(crcs),
	}
}

// note sets the time of the last new part, and returns the row with it and the durable parts.
func (u *upload) note(now time.Time) []byte {
	u.active = now
	b := make(encoder, 0, 16+len(u.noted))
	b.stamp(now)
	b.raw(u.noted)
	return b
}

// forget removes an upload and its file. The caller holds the id's lock.
func (s *Spool) forget(ctx context.Context, u *upload) error {
	c := &change{ctx: ctx, need: needFloor, entries: 3, bytes: 512}
	c.apply = func(g *group) error {
		g.next()
		g.del(uploadKey(keyUpload, u.name))
		g.del(uploadKey(keyParts, u.name))
		g.after = append(g.after, func() { s.dropUpload(u, aborted) })
		return nil
	}
	if err := s.submit(c); err != nil {
		return err
	}
	if err := s.content.disk.Unlink(u.path); err != nil {
		return err
	}
	if needed, err := s.needsContent(u.name.raw); needed || err != nil {
		return err
	}
	return s.content.unlink(u.name.envelope) // a publish may have linked it
}

// uploadOver forgets an upload once its envelope is published. If that fails, Open does it.
func (s *Spool) uploadOver(u *upload, e *envelope) {
	if e.seq == 0 || s.isPoisoned() {
		return // not published, or uncertain
	}
	s.dropUpload(u, published)
	if err := s.forget(context.Background(), u); err != nil {
		s.opts.Log.Warn("upload not removed; the next start does it",
			"envelope", u.name.envelope, "err", err)
	}
}
