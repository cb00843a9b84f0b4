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
	s     *Spool
	name  uploadName
	size  int64
	parts int
	path  string
	held  holding // guarded by holdings.mu

	mu     sync.Mutex // guards everything below
	holder int        // counts the callers; only the newest may write
	have   []byte     // a bit per part that is durable
	noted  []byte     // have, and the parts of the commit under way
	absent int
	sums   partSums // of the noted parts
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

func (s *Spool) newUpload(name uploadName, size int64) *upload {
	parts := partCount(size)
	return &upload{
		s: s, name: name, size: size, parts: parts,
		path:  filepath.Join(s.content.staging, string(name.sender)+"."+string(name.envelope)),
		have:  make([]byte, (parts+7)/8),
		noted: make([]byte, (parts+7)/8),
		sums:  partSums{},
		slots: make(map[int]*slot), absent: parts,
	}
}

// sumsInRow is the number of checksums in one row of an upload. A part rewrites one row.
const sumsInRow = 256

// partSums holds the checksums of an upload's parts, by row. It grows with the parts that arrive.
type partSums map[int]*[sumsInRow]uint32

func (p partSums) of(part int) uint32 {
	if row := p[part/sumsInRow]; row != nil {
		return row[part%sumsInRow]
	}
	return 0
}

// set sets the checksum of a part. It returns the number of its row.
func (p partSums) set(part int, sum uint32) (row int) {
	row = part / sumsInRow
	if p[row] == nil {
		p[row] = new([sumsInRow]uint32)
	}
	p[row][part%sumsInRow] = sum
	return row
}

// hash returns the hash of the size and all checksums. The caller holds u.mu.
func (u *upload) hash() [32]byte {
	all := make([]uint32, u.parts)
	for part := range all {
		all[part] = u.sums.of(part)
	}
	return sumsHash(u.size, all)
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
	rows := (u.parts + sumsInRow - 1) / sumsInRow
	c := &change{ctx: ctx, need: needFloor, entries: 3 + rows, bytes: 512 + 128*rows}
	c.apply = func(g *group) error {
		g.next()
		g.del(uploadKey(keyUpload, u.name))
		g.del(uploadKey(keyParts, u.name))
		u.mu.Lock()
		defer u.mu.Unlock()
		for row := range u.sums {
			g.del(partSumsKey(u.name, row))
		}
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
