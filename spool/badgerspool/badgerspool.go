package badgerspool

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	badger "github.com/dgraph-io/badger/v4"

	"sealpost/internal/durable"
	"sealpost/internal/id"
	"sealpost/spool"
)

var (
	_ spool.Spool    = (*Spool)(nil)
	_ spool.Registry = (*Spool)(nil)
	_ spool.Admin    = (*Spool)(nil)
)

// Options says how much of the disk the spool leaves alone, and what it uses of its surroundings.
type Options struct {
	Reserve int64            // bytes that stay free: below it nothing new is published or staged; 0: none
	Floor   int64            // bytes that stay free even for settling; at least 128 MiB keeps Badger from a full disk; 0: none
	Ballast int64            // bytes held by a file that is given up when the disk is too full to open the spool; 0: none
	Now     func() time.Time // the hub's clock; nil: time.Now
	Log     *slog.Logger     // nil: nothing is logged
}

// Spool is the store of one hub. See package spool for what its methods promise.
type Spool struct {
	dir         string
	opts        Options
	seams       seams
	db          *badger.DB
	snapshots   snapshots
	hours       hours
	lock        io.Closer
	content     *content
	packs       *packs
	incarnation id.Incarnation

	changes  chan *change
	gathered []*change // the writer's own
	written  chan struct{}
	commits  atomic.Uint64 // the number of the newest commit
	mark     *os.File
	quiet    atomic.Int64 // when the last commit ended, nanoseconds
	drained  atomic.Int64 // keys deleted since Badger was flattened

	poisoned   chan struct{}
	poisonOnce sync.Once

	ids       idLocks
	reserving sync.Mutex // one upload at a time takes its room

	mu      sync.RWMutex // guards the three maps, not what they lead to
	queues  map[string]*queue
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

// seams are the few places where tests reach in to make things fail.
type seams struct {
	disk   disk
	commit func(txn *badger.Txn, version uint64) error
	free   func(dir string) (int64, error)
}

// Open opens the spool in a folder, and makes it if there is none. One process at a time can have it open.
func Open(dir string, opts Options) (*Spool, error) {
	return open(dir, opts, seams{disk: realDisk{}, commit: commit, free: durable.Free})
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
		content:  &content{root: filepath.Join(dir, "content"), staging: filepath.Join(dir, "staging"), disk: seams.disk},
		changes:  make(chan *change, 256),
		written:  make(chan struct{}),
		poisoned: make(chan struct{}),
		queues:   make(map[string]*queue),
		sites:    make(map[id.Site]*site),
		uploads:  make(map[uploadName]*upload),
		janitor:  janitor{kicked: make(chan struct{}, 1)},
		cleaned:  make(chan struct{}),
		closing:  make(chan struct{}),
	}
	s.packs = newPacks(filepath.Join(dir, "packs"), seams.disk, func() error { return s.admit().allows(needRoom) })
	if err := s.prepare(); err != nil {
		return nil, errors.Join(fmt.Errorf("open the spool: %w", err), s.release())
	}
	go s.packs.run()
	go s.write()
	go s.clean()
	return s, nil
}

// prepare brings the folder into the state of its last commit.
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
	if s.db, err = badger.OpenManaged(badgerOptions(filepath.Join(s.dir, "badger"), s.opts.Log)); err != nil {
		return err
	}
	s.db.SetDiscardTs(s.snapshots.advance(s.db.MaxVersion()))
	if err := s.restore(); err != nil {
		return err
	}
	if err := s.openMark(); err != nil {
		return err
	}
	if err := s.restoreIncarnation(st); err != nil {
		return err
	}
	return s.loadBallast()
}

// restore reads what memory holds of queues, sites and uploads.
func (s *Spool) restore() error {
	err := s.view(func(txn *badger.Txn) error {
		v, err := get(txn, []byte{keyCommits})
		if err != nil {
			return err
		}
		d := decoder{data: v}
		newest := d.fixed()
		err = each(txn, keyFigures, func(name string, v []byte) error {
			f, err := decodeFigures(v)
			s.queues[name] = newQueue(name)
			s.queues[name].restore(f)
			newest = max(newest, f.commit)
			return err
		})
		if err != nil {
			return err
		}
		err = each(txn, keySite, func(name string, v []byte) error {
			f, err := decodeSiteFigures(v)
			s.sites[id.Site(name)] = &site{name: id.Site(name), figures: f}
			newest = max(newest, f.commit)
			return err
		})
		if err != nil {
			return err
		}
		s.commits.Store(newest)
		if err := s.restoreHours(txn); err != nil {
			return err
		}
		return s.restorePacks(txn)
	})
	if err != nil {
		return fmt.Errorf("restore the figures: %w", err)
	}
	return s.restoreUploads()
}

func (s *Spool) restorePacks(txn *badger.Txn) error {
	live := make(map[uint64]int64)
	err := each(txn, keyPack, func(name string, v []byte) error {
		n, count := decoder{data: []byte(name)}, decoder{data: v}
		live[n.fixed()] = int64(count.fixed())
		return nil
	})
	if err != nil {
		return err
	}
	return s.packs.restore(live)
}

// each calls f with every name under one kind of key.
func each(txn *badger.Txn, kind byte, f func(name string, value []byte) error) error {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{kind}, PrefetchValues: true, PrefetchSize: 64})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		item := it.Item()
		if err := item.Value(func(v []byte) error { return f(string(item.Key()[1:]), v) }); err != nil {
			return err
		}
	}
	return nil
}

// Incarnation implements spool.Spool.
func (s *Spool) Incarnation() id.Incarnation { return s.incarnation }

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
	close(s.packs.jobs)
	<-s.packs.done
	close(s.changes)
	<-s.written
	return s.release()
}

// release gives up what the process holds.
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

// queue returns what memory holds of a queue, and begins it if there is nothing yet.
func (s *Spool) queue(name string) *queue {
	s.mu.RLock()
	q := s.queues[name]
	s.mu.RUnlock()
	if q != nil {
		return q
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if q = s.queues[name]; q == nil {
		q = newQueue(name)
		s.queues[name] = q
	}
	return q
}

func (s *Spool) site(name id.Site) *site {
	s.mu.RLock()
	st := s.sites[name]
	s.mu.RUnlock()
	if st != nil {
		return st
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if st = s.sites[name]; st == nil {
		st = &site{name: name}
		s.sites[name] = st
	}
	return st
}

func (s *Spool) allQueues() []*queue {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make([]*queue, 0, len(s.queues))
	for _, q := range s.queues {
		all = append(all, q)
	}
	return all
}

func (s *Spool) allUploads() []*upload {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make([]*upload, 0, len(s.uploads))
	for _, u := range s.uploads {
		all = append(all, u)
	}
	return all
}
