package badgerspool

import (
	"context"
	"errors"
	"fmt"
	"io"

	"sealpost/spool"
)

// staging is one caller's hold on an upload.
type staging struct {
	u      *upload
	holder int
}

// finished stands for an upload whose envelope is published.
type finished struct{}

func (finished) Missing() []int { return nil }

func (finished) Put(context.Context, int, uint32, io.Reader) error { return nil }

func (finished) Abort(context.Context) error { return nil }

// Missing implements spool.Staging.
func (st *staging) Missing() []int {
	u := st.u
	u.mu.Lock()
	defer u.mu.Unlock()
	missing := make([]int, 0, u.absent)
	for part := range u.parts {
		if u.over != published && !u.has(part) {
			missing = append(missing, part)
		}
	}
	return missing
}

// length returns the number of bytes of a part.
func (u *upload) length(part int) int64 {
	return min(spool.PartSize, u.size-int64(part)*spool.PartSize)
}

// has reports whether a part is durable. The caller holds u.mu.
func (u *upload) has(part int) bool { return u.have[part/8]&(1<<(part%8)) != 0 }

// isNoted reports whether a part is durable, or will be after the commit under way. The caller
// holds u.mu.
func (u *upload) isNoted(part int) bool { return u.noted[part/8]&(1<<(part%8)) != 0 }

// current returns ErrDisplaced unless the caller still holds the upload. The caller holds u.mu.
func (st *staging) current() error {
	if st.holder != st.u.holder {
		return spool.ErrDisplaced
	}
	return nil
}

// Abort implements spool.Staging.
func (st *staging) Abort(ctx context.Context) error {
	s := st.u.s
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	unlock, err := s.ids.lock(ctx, st.u.name.envelope)
	if err != nil {
		return err
	}
	defer unlock()
	st.u.mu.Lock()
	over, displaced := st.u.over != underWay, st.holder != st.u.holder
	st.u.mu.Unlock()
	switch {
	case over:
		return nil
	case displaced:
		return fmt.Errorf("abort %s: %w", st.u.name.envelope, spool.ErrDisplaced)
	}
	if err := s.forget(ctx, st.u); err != nil {
		return fmt.Errorf("abort %s: %w", st.u.name.envelope, err)
	}
	return nil
}

// Put implements spool.Staging.
func (st *staging) Put(ctx context.Context, part int, sum uint32, r io.Reader) error {
	if err := st.u.s.enter(); err != nil {
		return err
	}
	defer st.u.s.leave()
	if err := st.put(ctx, part, sum, r); err != nil {
		return fmt.Errorf("part %d of %s: %w", part, st.u.name.envelope, err)
	}
	return nil
}

// put writes one part and records it. Of two calls for one part the newer one writes.
func (st *staging) put(ctx context.Context, part int, sum uint32, r io.Reader) error {
	u := st.u
	if part < 0 || part >= u.parts {
		return fmt.Errorf("%w: there are %d", spool.ErrInvalid, u.parts)
	}
	w := &partWriter{st: st, part: part, sum: sum, offset: int64(part) * spool.PartSize}
	w.length = u.length(part)
	have, err := w.take(ctx)
	if err != nil {
		return err
	}
	if have {
		return w.copy(ctx, r) // only checked
	}
	defer w.leave()
	if err = w.reserve(ctx); err == nil {
		err = w.write(ctx, r)
	}
	if err == nil {
		err = w.note(ctx)
	}
	if errors.Is(err, errTaken) {
		return w.waitForOwner(ctx)
	}
	return err
}
