package badgerspool

import (
	"context"
	"fmt"
	"os"

	"sealpost/spool"
)

// Stage implements spool.Spool.
func (s *Spool) Stage(ctx context.Context, up spool.Upload) (spool.Staging, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	st, err := s.stage(ctx, up)
	if err != nil {
		return nil, fmt.Errorf("stage %s: %w", up.Envelope, err)
	}
	return st, nil
}

// stage begins an upload, or opens the one of that name, under the id's lock.
func (s *Spool) stage(ctx context.Context, up spool.Upload) (spool.Staging, error) {
	raw, ok := unhex(up.Envelope)
	reopen := up.Size == 0
	if !ok || !isValidSite(up.Sender) ||
		!reopen && (up.Size <= spool.SmallSize || up.Size > spool.MaxSize) {
		return nil, fmt.Errorf("%w: %d bytes", spool.ErrInvalid, up.Size)
	}
	unlock, err := s.ids.lock(ctx, up.Envelope)
	if err != nil {
		return nil, err
	}
	defer unlock()
	e, err := s.envelopeByID(raw, up.Sender)
	if err != nil {
		return nil, err
	}
	if e != nil {
		if e.sender != up.Sender || e.size != up.Size && !reopen {
			return nil, spool.ErrConflict
		}
		return finished{}, nil
	}
	name := uploadName{up.Sender, up.Envelope, raw}
	u := s.upload(name)
	switch {
	case u == nil && reopen:
		err = spool.ErrNotFound
	case u == nil:
		if u, err = s.begin(ctx, name, up.Size); err == nil {
			return &staging{u, u.displace()}, nil
		}
	case u.size != up.Size && !reopen:
		err = spool.ErrConflict
	}
	if err != nil {
		return nil, err
	}
	st := &staging{u, u.displace()}
	if missing := st.Missing(); !reopen && len(missing) > 0 {
		n := min(spool.PartSize, u.size-int64(missing[0])*spool.PartSize)
		if err := s.takePart(ctx, u, n); err != nil { // as its Put would
			return nil, err
		}
		s.holdings.giveBack(u, n, 0)
	}
	return st, nil
}

// begin creates the file, and then records the upload if there is room to reserve.
func (s *Spool) begin(ctx context.Context, name uploadName, size int64) (*upload, error) {
	u := s.newUpload(name, size)
	more := spool.Usage{Reserved: reservation(u.size, 0), Uploads: 1}
	if err := s.holdings.check(name.sender, s.site(name.sender).load().waiting,
		committed{s}.ofAll(), more); err != nil {
		return nil, err // the change would find the same, with a file made for nothing
	}
	f, err := s.content.disk.Sparse(u.path, u.size)
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		return nil, err
	}
	var row encoder
	row.int(u.size)
	c := &change{ctx: ctx, need: needRoom, entries: 3, bytes: len(row) + len(u.have) + 512}
	c.apply = func(g *group) error {
		if err := g.reserve(name.sender, more); err != nil {
			return err
		}
		s.holdings.begin(u, 0)
		g.next()
		g.set(uploadKey(keyUpload, name), row)
		g.set(uploadKey(keyParts, name), u.note(g.now))
		g.after = append(g.after, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.uploads[name] = u
		})
		return nil
	}
	if err := s.submit(c); err != nil {
		os.Remove(u.path) // if uncertain, Open finds the row without its file and forgets it
		return nil, err
	}
	return u, nil
}
