package badgerspool

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	badger "github.com/dgraph-io/badger/v4"

	"sealpost/internal/id"
	"sealpost/spool"
)

const (
	uploadIdle  = 7 * 24 * time.Hour // after this without a part, an upload expires
	sweepPeriod = time.Minute
	orphanEvery = 60               // sweeps
	quietTime   = 10 * time.Second // without a commit, before Badger is flattened
	flattenFrom = 100_000          // keys deleted since the last time
	trashStep   = 256              // files unlinked per commit
)

// janitor does what may be late: it unlinks content that nobody needs, collects orphans, expires uploads, flattens Badger
// and keeps the ballast.
type janitor struct {
	kicked chan struct{}
	trash  uint64 // the next commit number at which trash may lie
}

func (j *janitor) kick() {
	select {
	case j.kicked <- struct{}{}:
	default:
	}
}

func (s *Spool) clean() {
	defer close(s.cleaned)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { <-s.closing; cancel() }()
	tick := time.NewTicker(sweepPeriod)
	defer tick.Stop()
	s.report("clear finished uploads", s.clearUploads(ctx))
	s.report("expire uploads", s.expireUploads(ctx))
	for sweeps := 0; ; {
		s.report("remove content", errors.Join(s.emptyTrash(ctx), s.removePacks(ctx)))
		if sweeps%orphanEvery == 0 {
			s.report("collect orphans", s.collectOrphans(ctx))
			sweeps++
		}
		select {
		case <-s.closing:
			return
		case <-s.janitor.kicked:
		case <-tick.C:
			sweeps++
			s.report("expire uploads", s.expireUploads(ctx))
			s.report("keep the ballast", s.loadBallast())
			s.report("flatten", s.flatten())
		}
	}
}

func (s *Spool) report(what string, err error) {
	if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, spool.ErrClosed) {
		s.opts.Log.Warn("the spool could not "+what+" and tries again later", "err", err)
	}
}

// trashed is a content file to unlink.
type trashed struct {
	commit   uint64
	envelope id.Envelope
}

// emptyTrash unlinks what the commits since the last call gave up. It looks only at rows it has not seen.
func (s *Spool) emptyTrash(ctx context.Context) error {
	for {
		rows, err := s.trashRows()
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, t := range rows {
			if err := s.content.unlink(t.envelope); err != nil {
				return err
			}
		}
		if err := s.dropTrash(ctx, rows); err != nil {
			return err
		}
		s.janitor.trash = rows[len(rows)-1].commit + 1
	}
}

func (s *Spool) trashRows() (rows []trashed, err error) {
	err = s.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{keyTrash}, PrefetchValues: true, PrefetchSize: trashStep})
		defer it.Close()
		for it.Seek(trashKey(s.janitor.trash)); it.Valid() && len(rows) < trashStep; it.Next() {
			v, err := it.Item().ValueCopy(nil)
			if err != nil {
				return err
			}
			d := decoder{data: it.Item().Key()[1:]}
			rows = append(rows, trashed{d.fixed(), tohex[id.Envelope](v)})
		}
		return nil
	})
	return rows, err
}

func (s *Spool) dropTrash(ctx context.Context, rows []trashed) error {
	c := &change{ctx: ctx, need: needFloor, entries: len(rows) + 1, bytes: len(rows) * (entryCost + 16)}
	c.apply = func(g *group) error {
		for _, t := range rows {
			g.del(trashKey(t.commit))
		}
		return nil
	}
	return s.submit(c)
}

// removePacks unlinks the packs in which nothing is needed any more, and then forgets their counts.
func (s *Spool) removePacks(ctx context.Context) error {
	dead := s.packs.takeDead()
	for i, n := range dead {
		if err := s.packs.unlink(n); err != nil {
			s.packs.returnDead(dead[i:])
			return err
		}
	}
	for step := range slices.Chunk(dead, trashStep) {
		c := &change{ctx: ctx, need: needFloor, entries: len(step) + 1, bytes: len(step) * (entryCost + 16)}
		c.apply = func(g *group) error {
			for _, n := range step {
				g.del(packKey(n))
			}
			return nil
		}
		if err := s.submit(c); err != nil {
			return err // the next start does it
		}
	}
	return nil
}

// collectOrphans removes content files that no envelope needs: left by a crash before the commit, or after a removal that
// a loss of power undid.
func (s *Spool) collectOrphans(ctx context.Context) error {
	for i := range 256 {
		dir := filepath.Join(s.content.root, fmt.Sprintf("%02x", i))
		f, err := os.Open(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue // never needed
		}
		if err != nil {
			return err
		}
		for err == nil {
			var names []string
			names, err = f.Readdirnames(512)
			for _, name := range names {
				if err := s.collectOrphan(ctx, id.Envelope(name)); err != nil {
					f.Close()
					return err
				}
			}
		}
		f.Close() // only read
	}
	return nil
}

// collectOrphan decides under the id's lock, so that no file of a call under way is taken.
func (s *Spool) collectOrphan(ctx context.Context, name id.Envelope) error {
	raw, ok := unhex(name)
	if !ok {
		return nil // not ours
	}
	unlock, err := s.ids.lock(ctx, name)
	if err != nil {
		return err
	}
	defer unlock()
	needed, err := s.needsContent(raw)
	if err != nil || needed {
		return err
	}
	s.opts.Log.Info("removed a content file without an envelope", "envelope", name)
	return s.content.unlink(name)
}

// needsContent says whether an envelope exists whose deliveries are not all settled.
func (s *Spool) needsContent(raw [16]byte) (needed bool, err error) {
	err = s.view(func(txn *badger.Txn) error {
		e, err := lookup(txn, raw)
		if err != nil || e == nil {
			return err
		}
		f, err := readFinals(txn, e.seq)
		needed = f.dead != 0 || f.final != 1<<len(e.targets)-1
		return err
	})
	return needed, err
}

// expireUploads forgets uploads for which nobody has cared for a long time.
func (s *Spool) expireUploads(ctx context.Context) error {
	before := s.hubTime().Add(-uploadIdle)
	for _, u := range s.allUploads() {
		u.mu.Lock()
		idle := u.active.Before(before)
		u.mu.Unlock()
		if !idle {
			continue
		}
		if err := s.expireUpload(ctx, u, before); err != nil {
			return err
		}
	}
	return nil
}

func (s *Spool) expireUpload(ctx context.Context, u *upload, before time.Time) error {
	unlock, err := s.ids.lock(ctx, u.name.envelope)
	if err != nil {
		return err
	}
	defer unlock()
	u.mu.Lock()
	idle := u.active.Before(before) && u.over == underWay
	u.mu.Unlock()
	if !idle {
		return nil
	}
	s.opts.Log.Info("upload expired", "envelope", u.name.envelope, "sender", u.name.sender)
	return s.forget(ctx, u)
}

// clearUploads forgets the rows of uploads that Open found to be over.
func (s *Spool) clearUploads(ctx context.Context) error {
	for _, u := range s.overUploads {
		unlock, err := s.ids.lock(ctx, u.name.envelope)
		if err != nil {
			return err
		}
		if s.upload(u.name) == nil { // not begun again meanwhile
			err = s.forget(ctx, u)
		}
		unlock()
		if err != nil {
			return err
		}
	}
	s.overUploads = nil
	return nil
}

// flatten lets Badger give back the room of small ciphertext once much of it has gone and nothing else is going on.
func (s *Spool) flatten() error {
	drained := s.drained.Load()
	if drained < flattenFrom || time.Since(time.Unix(0, s.quiet.Load())) < quietTime {
		return nil
	}
	if err := s.db.Flatten(1); err != nil {
		return err
	}
	s.drained.Add(-drained)
	return nil
}
