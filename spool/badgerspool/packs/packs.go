// Package packs keeps small ciphertext, many contents to a file, in the order of their arrival.
//
// Contents that come together share one write and one sync, and are handed on as one group, so that
// their commits are one group too. A pack is appended to by one process only, and removed as a
// whole when its last content is not needed any more: the engine stores how many are, in the
// commits that publish and settle.
//
// The package must not know the engine or the commits: a content carries a value of its owner's,
// and no more.
package packs

import (
	"context"
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
	"sealpost/spool/badgerspool/disk"
)

const (
	packSize   = 8 << 20 // a pack is full at this size
	packGroup  = 1 << 20 // bytes written with one sync
	packSuffix = ".pack"
)

// Packs holds the packs of one folder. T is the value that a content carries. All methods may be
// called concurrently.
type Packs[T any] struct {
	dir  string
	disk disk.Disk
	room func() error // ErrFull when there is no room for more
	next func([]*Job[T], error)
	jobs chan *Job[T]
	done chan struct{} // closed when the writing goroutine has ended

	mu     sync.Mutex // guards everything below
	all    map[uint64]*pack
	number uint64   // of the next pack
	dead   []uint64 // to be removed
}

// pack is the memory of one file.
type pack struct {
	live    int64 // contents that committed envelopes need
	pending int   // contents written whose commit is under way
	sealed  bool  // nothing is added any more
}

// Place is where a content lies; the zero value is none.
type Place struct {
	Pack   uint64
	Offset int64
}

// Job is a content on its way into a pack.
type Job[T any] struct {
	Content []byte
	At      *Place // set before the job is handed on, unless it failed
	Then    T
}

// New returns the packs of a folder. Each group of jobs is handed to next when it is durable, or
// with its error.
func New[T any](dir string, d disk.Disk, room func() error, next func([]*Job[T], error)) *Packs[T] {
	return &Packs[T]{
		dir: dir, disk: d, room: room, next: next,
		jobs: make(chan *Job[T], 256), done: make(chan struct{}), all: make(map[uint64]*pack),
		number: 1,
	}
}

// Restore lists the packs of a former process, with the stored counts of the contents needed in
// each. All of them are sealed: a new process begins a new pack. It must come before Start.
func (p *Packs[T]) Restore(live map[uint64]int64) error {
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

// Start starts the writing goroutine, which Close ends.
func (p *Packs[T]) Start() { go p.run() }

// Close ends the pack under way. No Put may be under way.
func (p *Packs[T]) Close() {
	close(p.jobs)
	<-p.done
}

// Put hands a content to the writing goroutine. The context counts only until it takes the content.
// Once the job has been handed on with a place, Committed must follow.
func (p *Packs[T]) Put(ctx context.Context, job *Job[T]) error {
	select {
	case p.jobs <- job:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Committed ends the commit of a content, whether it is needed now (SetLive) or was given up.
func (p *Packs[T]) Committed(at Place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := p.all[at.Pack]
	k.pending--
	p.bury(at.Pack, k)
}

// Pending returns the number of contents whose commit is under way.
func (p *Packs[T]) Pending() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range p.all {
		n += k.pending
	}
	return n
}

// Live returns the number of contents needed in a pack.
func (p *Packs[T]) Live(n uint64) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if k := p.all[n]; k != nil {
		return k.live
	}
	return 0
}

// SetLive takes over a committed count, and reports whether the pack may be removed now.
func (p *Packs[T]) SetLive(n uint64, live int64) (dead bool) {
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
func (p *Packs[T]) bury(n uint64, k *pack) bool {
	if !k.sealed || k.pending > 0 || k.live > 0 {
		return false
	}
	if _, listed := p.all[n]; listed {
		delete(p.all, n)
		p.dead = append(p.dead, n)
	}
	return true
}

// RemoveDead unlinks the packs in which nothing is needed, and returns those unlinked. The next
// call retries the others.
func (p *Packs[T]) RemoveDead() (removed []uint64, err error) {
	p.mu.Lock()
	dead := p.dead
	p.dead = nil
	p.mu.Unlock()
	for i, n := range dead {
		if err := p.disk.Unlink(p.Path(n)); err != nil {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.dead = append(p.dead, dead[i:]...)
			return dead[:i], err
		}
	}
	return dead, nil
}

// Path returns the path of a pack.
func (p *Packs[T]) Path(n uint64) string {
	return filepath.Join(p.dir, fmt.Sprintf("%016x%s", n, packSuffix))
}

// Reader returns a reader, to be closed.
func (p *Packs[T]) Reader() *Reader { return &Reader{path: p.Path} }

// Reader reads contents one after the other, and keeps the pack it read last open.
type Reader struct {
	path func(n uint64) string
	n    uint64
	f    *os.File
}

// Read returns a content. ErrNotFound when its pack has been removed.
func (r *Reader) Read(at Place, size int64) ([]byte, error) {
	if r.f == nil || r.n != at.Pack {
		r.Close()
		f, err := os.Open(r.path(at.Pack))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: its content has been removed", spool.ErrNotFound)
		}
		if err != nil {
			return nil, err
		}
		r.f, r.n = f, at.Pack
	}
	content := make([]byte, size)
	if _, err := r.f.ReadAt(content, at.Offset); err != nil {
		return nil, fmt.Errorf("read pack %d: %w", at.Pack, err)
	}
	return content, nil
}

// Close closes the pack read last.
func (r *Reader) Close() {
	if r.f != nil {
		r.f.Close() // only read
		r.f = nil
	}
}
