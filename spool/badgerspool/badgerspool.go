// Package badgerspool is the embedded engine behind the spool's contract. It keeps queues and
// metadata in Badger, small ciphertext in append-only packs, and each large one in a plain file.
//
// It keeps the promises of package spool on one disk, for one process. A call returns success after
// data and directory entries are on disk. All changes go through one writer, which gathers the
// waiting ones into one commit (writer.go). Every read is a snapshot. After a commit with an
// uncertain outcome the store is poisoned and answers only spool.ErrUncertain: the process exits
// and opens it again. Leases and sessions live in memory (package queue).
//
// The package must not know HTTP, certificates or the envelope's format. docs/spool.md describes
// the layout of the keys, the way of a commit and the state after each crash.
package badgerspool

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	badger "github.com/dgraph-io/badger/v4"

	"sealpost/internal/durable"
	"sealpost/internal/id"
	"sealpost/spool"
	"sealpost/spool/badgerspool/disk"
	"sealpost/spool/badgerspool/packs"
)

var (
	_ spool.Spool    = (*Spool)(nil)
	_ spool.Registry = (*Spool)(nil)
	_ spool.Admin    = (*Spool)(nil)
	_ spool.Audit    = (*Spool)(nil)
)

// Options are the limits of the disk, and the clock and log of a spool.
type Options struct {
	Reserve int64            // bytes to keep free: below, nothing is published or staged; 0: none
	Floor   int64            // bytes to keep free even from settling: 128 MiB or more; 0: none
	Ballast int64            // bytes in a file that is deleted to open on a full disk; 0: none
	Now     func() time.Time // the hub's clock; nil: time.Now
	Log     *slog.Logger     // nil: nothing is logged
}

// Spool is the store of one hub. Package spool has the contract of its methods.
type Spool struct {
	dir         string
	opts        Options
	seams       seams
	db          *badger.DB
	snapshots   snapshots
	hours       hours
	lock        io.Closer
	content     *content
	packs       *packs.Packs[*change]
	incarnation id.Incarnation
	loss        atomic.Pointer[spool.Loss] // not acknowledged yet; nil: none

	changes  chan []*change
	gathered []*change // the writer's own
	written  chan struct{}
	commits  atomic.Uint64 // the number of the newest commit
	mark     *os.File
	folder   folder       // Badger's; the writer's own
	lastEnd  atomic.Int64 // when the last commit ended, nanoseconds
	drained  atomic.Int64 // keys deleted since Badger was flattened
	forgot   uint64       // the version of the newest commit that forgot; the writer's own

	forgetting sync.Mutex // held by a call of Forget

	poisoned chan struct{} // closed after a commit with an uncertain outcome

	chain    chain
	ids      idLocks
	holdings holdings

	mu      sync.RWMutex // guards the three maps, not their members
	queues  map[string]*storedQueue
	sites   map[id.Site]*site
	uploads map[uploadName]*upload

	janitor     janitor
	overUploads []*upload // found at the start; the janitor's own
	cleaned     chan struct{}

	life    sync.Mutex // guards closed and the beginning of calls
	closed  bool
	closing chan struct{}
	calls   sync.WaitGroup
}

// seams are the places at which tests inject failures.
type seams struct {
	disk   disk.Disk
	commit func(txn *badger.Txn, version uint64) error
	free   func(dir string) (int64, error)
}

// Open opens the spool in a folder, and creates it if there is none. One process at a time can have
// it open.
func Open(dir string, opts Options) (*Spool, error) {
	return open(dir, opts, seams{disk: disk.Real, commit: commit, free: durable.Free})
}

func commit(txn *badger.Txn, version uint64) error { return txn.CommitAt(version, nil) }

func open(dir string, opts Options, seams seams) (*Spool, error) {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	s := &Spool{
		dir: dir, opts: opts, seams: seams,
		content: &content{
			root:    filepath.Join(dir, "content"),
			staging: filepath.Join(dir, "staging"),
			disk:    seams.disk,
		},
		folder:   folder{path: filepath.Join(dir, "badger")},
		changes:  make(chan []*change, 256),
		written:  make(chan struct{}),
		poisoned: make(chan struct{}),
		queues:   make(map[string]*storedQueue),
		sites:    make(map[id.Site]*site),
		uploads:  make(map[uploadName]*upload),
		holdings: holdings{bySite: make(map[id.Site]spool.Usage)},
		janitor:  janitor{kicked: make(chan struct{}, 1)},
		cleaned:  make(chan struct{}),
		closing:  make(chan struct{}),
	}
	s.holdings.quotas.Store(&spool.Quotas{})
	s.packs = packs.New(filepath.Join(dir, "packs"), seams.disk,
		func() error { return s.admit().allows(needRoom) }, s.commitPacked)
	if err := s.prepare(); err != nil {
		return nil, errors.Join(fmt.Errorf("open the spool: %w", err), s.release())
	}
	s.packs.Start()
	go s.write()
	go s.clean()
	return s, nil
}

// prepare restores the state of the last commit.
func (s *Spool) prepare() (err error) {
	if err := durable.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	if s.lock, err = durable.Lock(filepath.Join(s.dir, "lock")); err != nil {
		return err
	}
	st, err := s.readStamp()
	if err != nil {
		return err
	}
	if err := s.roomToOpen(); err != nil {
		return err
	}
	if err := s.content.make(); err != nil {
		return err
	}
	if s.db, err = openBadger(s.folder.path, s.opts.Log); err != nil {
		return err
	}
	s.db.SetDiscardTs(s.snapshots.advance(s.db.MaxVersion()))
	if err := s.upgrade(st); err != nil {
		return err
	}
	if err := s.restore(); err != nil {
		return err
	}
	if s.mark, err = os.OpenFile(s.markPath(), os.O_CREATE|os.O_WRONLY, 0o600); err != nil {
		return err
	}
	if err := s.restoreIncarnation(st); err != nil {
		return err
	}
	if err := s.drop(oldEntry, oldRetry); err != nil {
		return fmt.Errorf("remove the rows of an older format: %w", err)
	}
	return s.loadBallast()
}

// Incarnation implements spool.Spool.
func (s *Spool) Incarnation() id.Incarnation { return s.incarnation }

// all returns the members of one of the three maps.
func all[K comparable, V any](s *Spool, members map[K]V) []V {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Collect(maps.Values(members))
}

// member returns a member of one of the maps. It adds an absent one.
func member[K comparable, V any](s *Spool, members map[K]*V, name K, create func(K) *V) *V {
	s.mu.RLock()
	m := members[name]
	s.mu.RUnlock()
	if m != nil {
		return m
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if m = members[name]; m == nil {
		m = create(name)
		members[name] = m
	}
	return m
}

// enter begins a call, unless the spool is closed or poisoned.
func (s *Spool) enter() error {
	s.life.Lock()
	defer s.life.Unlock()
	if s.closed {
		return spool.ErrClosed
	}
	if s.isPoisoned() {
		return spool.ErrUncertain
	}
	s.calls.Add(1)
	return nil
}

func (s *Spool) leave() { s.calls.Done() }

// Close implements spool.Spool.
func (s *Spool) Close() error {
	s.life.Lock()
	if s.closed {
		s.life.Unlock()
		return spool.ErrClosed
	}
	s.closed = true
	close(s.closing)
	s.life.Unlock()
	s.calls.Wait()
	<-s.cleaned
	s.packs.Close()
	close(s.changes)
	<-s.written
	return s.release()
}

// release closes Badger, the mark and the lock.
func (s *Spool) release() (err error) {
	if s.db != nil {
		err = s.db.Close()
	}
	if s.mark != nil {
		err = errors.Join(err, s.mark.Close())
	}
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
	}
	return err
}
