package badgerspool

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	badger "github.com/dgraph-io/badger/v4"

	"sealpost/internal/id"
	"sealpost/spool"
)

// collectOrphans removes content files that no envelope needs. A crash before the commit leaves
// one, and so does a loss of power that undoes a removal.
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

// collectOrphan decides under the id's lock, so that it removes no file of a call under way.
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
	s.opts.Log.Info("orphan removed", "envelope", name)
	return s.content.unlink(name)
}

// needsContent reports whether an envelope exists that needs its content. The caller holds the id's
// lock. After an uncertain commit the answer is ErrUncertain: that commit may name the content, and
// becomes visible only when the spool is opened again.
func (s *Spool) needsContent(raw [16]byte) (needed bool, err error) {
	err = s.view(func(txn *badger.Txn) error {
		e, err := lookup(txn, raw)
		if errors.Is(err, spool.ErrForgotten) {
			return nil
		}
		if err != nil || e == nil {
			return err
		}
		f, err := readFinals(txn, e.seq)
		needed = f.needsContent(e)
		return err
	})
	if err == nil && s.isPoisoned() {
		err = spool.ErrUncertain
	}
	return needed, err
}

// expireUploads forgets uploads that have got no new part for a long time.
func (s *Spool) expireUploads(ctx context.Context) error {
	before := s.hubTime().Add(-spool.UploadIdle)
	_, err := s.forgetUploads(ctx, "upload expired", all(s, s.uploads), func(u *upload) bool {
		u.mu.Lock()
		defer u.mu.Unlock()
		return u.active.Before(before) && u.over == underWay
	})
	return err
}

// AbortUploads implements spool.Admin.
func (s *Spool) AbortUploads(ctx context.Context, sender id.Site) (int, error) {
	if err := s.enter(); err != nil {
		return 0, err
	}
	defer s.leave()
	n, err := s.forgetUploads(ctx, "upload aborted", all(s, s.uploads), func(u *upload) bool {
		u.mu.Lock()
		defer u.mu.Unlock()
		return u.name.sender == sender && u.over == underWay
	})
	if err != nil {
		return n, fmt.Errorf("abort the uploads of %s: %w", sender, err)
	}
	return n, nil
}

// clearUploads deletes the rows of uploads that Open found to be over.
func (s *Spool) clearUploads(ctx context.Context) error {
	over := s.overUploads
	s.overUploads = nil
	_, err := s.forgetUploads(ctx, "rest of an upload removed", over, func(u *upload) bool {
		return s.upload(u.name) == nil // not begun again meanwhile
	})
	return err
}

// forgetUploads forgets the uploads that meet a condition, also under the id's lock, and logs the
// event for each. It returns their number.
func (s *Spool) forgetUploads(ctx context.Context, event string, list []*upload,
	isUnused func(*upload) bool) (forgotten int, err error) {
	for _, u := range list {
		if !isUnused(u) {
			continue
		}
		unlock, err := s.ids.lock(ctx, u.name.envelope)
		if err != nil {
			return forgotten, err
		}
		if isUnused(u) {
			s.opts.Log.Info(event, "envelope", u.name.envelope, "sender", u.name.sender)
			if err = s.forget(ctx, u); err == nil {
				forgotten++
			}
		}
		unlock()
		if err != nil {
			return forgotten, err
		}
	}
	return forgotten, nil
}
