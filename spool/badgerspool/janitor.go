package badgerspool

import (
	"context"
	"errors"
	"slices"
	"time"

	badger "github.com/dgraph-io/badger/v4"

	"sealpost/internal/id"
	"sealpost/spool"
)

const (
	sweepPeriod = time.Minute
	orphanEvery = 60               // sweeps
	quietTime   = 10 * time.Second // without a commit, before Badger is flattened
	flattenFrom = 100_000          // keys deleted since the last time
	trashStep   = 256              // files unlinked per commit
)

// janitor does the work that can wait, in the background. It unlinks content that is needed no
// more, collects orphans, expires uploads, flattens Badger and keeps the ballast. It retries a
// failed task in its next round.
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

// clean runs the janitor until the spool closes. It works after a kick, and once a minute.
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

func (s *Spool) report(task string, err error) {
	if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, spool.ErrClosed) {
		s.opts.Log.Warn("janitor task failed; it will be retried", "task", task, "err", err)
	}
}

// trashed is a content file to unlink.
type trashed struct {
	commit   uint64
	envelope id.Envelope
}

// emptyTrash unlinks the files that commits since the last call released. It reads each row once.
func (s *Spool) emptyTrash(ctx context.Context) error {
	for {
		rows, err := s.trashRows()
		if err != nil || len(rows) == 0 {
			return err
		}
		commits := make([]uint64, len(rows))
		for i, t := range rows {
			if err := s.content.unlink(t.envelope); err != nil {
				return err
			}
			commits[i] = t.commit
		}
		if err := s.deleteRows(ctx, trashKey, commits); err != nil {
			return err
		}
		s.janitor.trash = commits[len(commits)-1] + 1
	}
}

// trashRows reads at most trashStep rows of files to unlink.
func (s *Spool) trashRows() (rows []trashed, err error) {
	err = s.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{keyTrash}, PrefetchValues: true,
			PrefetchSize: trashStep})
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

// deleteRows deletes the rows of numbers in one change.
func (s *Spool) deleteRows(ctx context.Context, key func(uint64) []byte, numbers []uint64) error {
	c := &change{ctx: ctx, need: needFloor, entries: len(numbers) + 1,
		bytes: len(numbers) * (entryCost + 16)}
	c.apply = func(g *group) error {
		for _, n := range numbers {
			g.del(key(n))
		}
		return nil
	}
	return s.submit(c)
}

// removePacks unlinks the packs in which nothing is needed, and then deletes their counts.
func (s *Spool) removePacks(ctx context.Context) error {
	removed, err := s.packs.RemoveDead()
	for step := range slices.Chunk(removed, trashStep) {
		if err := s.deleteRows(ctx, packKey, step); err != nil {
			return err // the next start does it
		}
	}
	return err
}

// flatten makes Badger free the room of deleted rows, after many deletions and a time without
// commits.
func (s *Spool) flatten() error {
	drained := s.drained.Load()
	if drained < flattenFrom || time.Since(time.Unix(0, s.lastEnd.Load())) < quietTime {
		return nil
	}
	if err := s.db.Flatten(1); err != nil {
		return err
	}
	s.drained.Add(-drained)
	return nil
}
