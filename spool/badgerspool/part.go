package badgerspool

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"sync"

	"sealpost/spool"
	"sealpost/spool/badgerspool/disk"
)

// slot is a part that is being written. Only its owner writes, and only under its mutex. So the
// late bytes of an older caller never overwrite a verified part.
type slot struct {
	mu    sync.Mutex
	owner *int // identity of the writing call
	done  chan struct{}
}

// errTaken reports that a newer call is writing the same part.
var errTaken = errors.New("a newer call writes this part")

// partWriter is one Put under way.
type partWriter struct {
	st     *staging
	part   int
	offset int64
	length int64
	slot   *slot
	me     int
	file   *os.File
	failed int // the upload's failed syncs when this began
}

// take makes this call the owner of its part. It reports whether the part is durable already.
func (w *partWriter) take() (have bool, err error) {
	u := w.st.u
	u.mu.Lock()
	if err := w.st.current(); err != nil {
		u.mu.Unlock()
		return false, err
	}
	if u.over == aborted {
		u.mu.Unlock()
		return false, spool.ErrNotFound
	}
	if u.over == published || u.has(w.part) {
		u.mu.Unlock()
		return true, nil
	}
	w.failed = u.failed
	w.slot = u.slots[w.part]
	if w.slot == nil {
		w.slot = &slot{done: make(chan struct{})}
		u.slots[w.part] = w.slot
	}
	u.mu.Unlock()
	w.slot.mu.Lock() // waits for at most one write
	defer w.slot.mu.Unlock()
	w.slot.owner = &w.me
	return false, nil
}

// leave frees the slot if this call still owns it.
func (w *partWriter) leave() {
	u := w.st.u
	u.mu.Lock()
	defer u.mu.Unlock()
	w.slot.mu.Lock()
	defer w.slot.mu.Unlock()
	if w.slot.owner == &w.me && u.slots[w.part] == w.slot {
		delete(u.slots, w.part)
		close(w.slot.done)
	}
}

// waitForOwner waits for the newer call that writes the part, and returns ErrDisplaced if it
// failed.
func (w *partWriter) waitForOwner(ctx context.Context) error {
	select {
	case <-w.slot.done:
	case <-ctx.Done():
		return ctx.Err()
	case <-w.st.u.s.closing:
		return spool.ErrClosed
	}
	u := w.st.u
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.has(w.part) {
		return nil
	}
	return spool.ErrDisplaced
}

// write copies the part into its place and makes it durable.
func (w *partWriter) write(ctx context.Context, r io.Reader) (err error) {
	u := w.st.u
	err = u.s.content.disk("open", u.path, func() (err error) {
		w.file, err = os.OpenFile(u.path, os.O_WRONLY, 0)
		return err
	})
	if w.file != nil {
		defer func() { err = errors.Join(err, w.file.Close()) }()
	}
	if err != nil {
		return err
	}
	if err := w.copy(ctx, r); err != nil {
		return err
	}
	return w.sync()
}

// sync makes the copied bytes durable. A failed sync of the file may have lost the data of any part
// that was being written, so all of those must be sent again.
func (w *partWriter) sync() error {
	u := w.st.u
	err := u.s.content.disk.Sync(w.file)
	u.mu.Lock()
	defer u.mu.Unlock()
	if err != nil {
		u.failed++
		return err
	}
	if u.failed != w.failed {
		return errors.New("another part's write to the same file failed meanwhile")
	}
	return nil
}

const chunk = 256 << 10

var chunks = sync.Pool{New: func() any { return new([chunk]byte) }}

// copy reads exactly the part, checks it, and writes it to its place if there is a file.
func (w *partWriter) copy(ctx context.Context, r io.Reader) error {
	buf := chunks.Get().(*[chunk]byte)
	defer chunks.Put(buf)
	sum := uint32(0)
	for done := int64(0); done < w.length; {
		n, err := fill(r, buf[:min(chunk, w.length-done)])
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("%w: it ends after %d of %d bytes", spool.ErrChecksum, done+int64(n),
				w.length)
		}
		if err != nil {
			return fmt.Errorf("receive: %w", err)
		}
		sum = crc32.Update(sum, castagnoli, buf[:n])
		if err := w.writeAt(ctx, buf[:n], w.offset+done); err != nil {
			return err
		}
		done += int64(n)
	}
	if n, err := fill(r, buf[:1]); n > 0 {
		return fmt.Errorf("%w: it is longer than %d bytes", spool.ErrChecksum, w.length)
	} else if !errors.Is(err, io.EOF) {
		return fmt.Errorf("receive: %w", err)
	}
	if sum != w.st.u.crcs[w.part] {
		return spool.ErrChecksum
	}
	return nil
}

// fill reads until the buffer is full. Unlike io.ReadFull it keeps the reader's own error, so that
// a broken connection does not look like a short part.
func fill(r io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		var m int
		m, err = r.Read(buf[n:])
		n += m
	}
	if n == len(buf) {
		err = nil
	}
	return n, err
}

// writeAt writes if this call still owns the part and its caller still holds the upload.
func (w *partWriter) writeAt(ctx context.Context, data []byte, offset int64) error {
	u := w.st.u
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-u.s.closing:
		return spool.ErrClosed
	default:
	}
	u.mu.Lock()
	err := w.st.current()
	u.mu.Unlock()
	if err != nil || w.file == nil {
		return err
	}
	w.slot.mu.Lock()
	defer w.slot.mu.Unlock()
	if w.slot.owner != &w.me {
		return errTaken
	}
	err = u.s.content.disk.WriteAt(w.file, data, offset)
	if half := spool.PartSize / 2; err == nil &&
		(offset-w.offset+int64(len(data)))%int64(half) == 0 {
		disk.StartWriting(w.file, offset+int64(len(data))-int64(half), int64(half))
	}
	return err
}

// note records that the part is durable.
func (w *partWriter) note(ctx context.Context) error {
	u := w.st.u
	c := &change{ctx: ctx, need: needFloor, entries: 2, bytes: len(u.have) + 256}
	c.apply = func(g *group) error {
		u.mu.Lock()
		defer u.mu.Unlock()
		if u.over != underWay {
			return spool.ErrNotFound
		}
		if err := w.st.current(); err != nil {
			return err
		}
		g.next()
		u.noted[w.part/8] |= 1 << (w.part % 8)
		g.set(uploadKey(keyParts, u.name), u.note(g.now))
		g.after = append(g.after, func() {
			u.mu.Lock()
			defer u.mu.Unlock()
			if !u.has(w.part) {
				u.have[w.part/8] |= 1 << (w.part % 8)
				u.absent--
			}
		})
		return nil
	}
	return u.s.submit(c)
}
