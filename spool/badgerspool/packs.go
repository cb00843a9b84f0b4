package badgerspool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"sealpost/internal/durable"
	"sealpost/spool"
)

const (
	packSize   = 8 << 20 // a pack is full at this size, and removed when nothing in it is needed any more
	packGroup  = 1 << 20 // bytes written with one sync
	packSuffix = ".pack"
)

// packs keeps small ciphertext, many to a file, in the order of its arrival. Callers that come together share one write
// and one sync. A pack is only ever appended to by the process that made it, and goes when its last content goes: how many
// are still needed is counted durably, in the commits that publish and settle.
type packs struct {
	dir  string
	disk disk
	room func() error // says whether there is room for more
	jobs chan *packJob
	next chan<- []*change // the writer: what is durable is handed on to it, a whole group at once
	done chan struct{}    // closed when the writing goroutine has ended

	mu     sync.Mutex // guards everything below
	all    map[uint64]*pack
	number uint64   // of the next pack
	dead   []uint64 // to be removed
}

// pack is what memory knows of one file.
type pack struct {
	live    int64 // contents that committed envelopes need
	pending int   // contents written whose commit is under way
	sealed  bool  // nothing is added any more
}

// place in a pack; the zero value is none.
type packPlace struct {
	pack   uint64
	offset int64
}

// packJob is a content on its way into a pack, and the change that publishes it.
type packJob struct {
	content []byte
	at      *packPlace // told when the content is durable
	change  *change
}

func newPacks(dir string, d disk, room func() error, next chan<- []*change) *packs {
	return &packs{dir: dir, disk: d, room: room, jobs: make(chan *packJob, 256), next: next, done: make(chan struct{}),
		all: make(map[uint64]*pack), number: 1}
}

func (p *packs) path(n uint64) string {
	return filepath.Join(p.dir, fmt.Sprintf("%016x%s", n, packSuffix))
}

// publish makes a content durable, and then has its change committed. Both happen in groups, and a caller waits once.
func (p *packs) publish(job *packJob) error {
	job.change.done = make(chan error, 1)
	select {
	case p.jobs <- job:
	case <-job.change.ctx.Done():
		return job.change.ctx.Err()
	}
	err := <-job.change.done
	if *job.at != (packPlace{}) {
		p.settled(job.at.pack)
	}
	return err
}

// settled says that a content's commit is over. It counts in live now, or was given up.
func (p *packs) settled(n uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := p.all[n]
	k.pending--
	p.bury(n, k)
}

// live is how many contents of a pack are needed.
func (p *packs) live(n uint64) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if k := p.all[n]; k != nil {
		return k.live
	}
	return 0
}

// store takes over a count that was committed, and says whether a pack may be removed now.
func (p *packs) store(n uint64, live int64) (dead bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := p.all[n]
	if k == nil { // its file was missing at the start
		return false
	}
	k.live = live
	return p.bury(n, k)
}

// bury lists a pack for removal if nothing in it is or may become needed.
func (p *packs) bury(n uint64, k *pack) bool {
	if !k.sealed || k.pending > 0 || k.live > 0 {
		return false
	}
	if _, listed := p.all[n]; listed {
		delete(p.all, n)
		p.dead = append(p.dead, n)
	}
	return true
}

// takeDead returns what is to be removed.
func (p *packs) takeDead() []uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	dead := p.dead
	p.dead = nil
	return dead
}

// returnDead lists packs again whose removal failed.
func (p *packs) returnDead(dead []uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dead = append(p.dead, dead...)
}

func (p *packs) unlink(n uint64) error {
	path := p.path(n)
	return p.disk.do("unlink", path, func() error { return remove(path) })
}

// restore lists the files that are there. All of them are sealed: a new process begins a new pack.
func (p *packs) restore(live map[uint64]int64) error {
	if err := durable.MkdirAll(p.dir, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		return err
	}
	for n, count := range live {
		p.number = max(p.number, n+1)
		if count == 0 {
			p.dead = append(p.dead, n) // unlinked or not, its count has to go
		}
	}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), packSuffix)
		n, err := strconv.ParseUint(name, 16, 64)
		if !ok || err != nil {
			continue // not ours
		}
		p.number = max(p.number, n+1)
		if live[n] > 0 {
			p.all[n] = &pack{live: live[n], sealed: true}
		} else if _, listed := live[n]; !listed {
			p.dead = append(p.dead, n)
		}
	}
	return nil
}

// packReader reads contents, keeping the pack it read last open.
type packReader struct {
	p *packs
	n uint64
	f *os.File
}

func (r *packReader) read(at packPlace, size int64) ([]byte, error) {
	if r.f == nil || r.n != at.pack {
		r.close()
		f, err := os.Open(r.p.path(at.pack))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: its content has been removed", spool.ErrNotFound)
		}
		if err != nil {
			return nil, err
		}
		r.f, r.n = f, at.pack
	}
	content := make([]byte, size)
	if _, err := r.f.ReadAt(content, at.offset); err != nil {
		return nil, fmt.Errorf("read pack %d: %w", at.pack, err)
	}
	return content, nil
}

func (r *packReader) close() {
	if r.f != nil {
		r.f.Close() // only read
		r.f = nil
	}
}
