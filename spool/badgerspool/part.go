package badgerspool

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"maps"
	"os"
	"sync"

	"sealpost/internal/durable"
	"sealpost/spool"
	"sealpost/spool/badgerspool/disk"
)

// slot is a part that is being written. Only its owner writes, and only under its mutex. So the
// late bytes of an older caller never overwrite a verified part. A slot's mutex is taken before the
// upload's.
type slot struct {
	mu        sync.Mutex // guards everything below but done and noter
	owner     *int       // identity of the writing call; nil: none may write
	isTaken   bool       // its bytes are counted as taken
	allocated bool       // and have their blocks on the disk
	replaces  bool       // the part is durable with another checksum
	over      bool       // it is no slot of the upload any more
	noter     *int       // the owner as the writer of commits sees it; guarded by upload.mu
	done      chan struct{}
}

// maxSlots is the number of parts of one upload that are received at once.
const maxSlots = spool.LookAhead / spool.PartSize

// errTaken reports that a newer call is writing the same part.
var errTaken = errors.New("a newer call writes this part")

// partWriter is one Put under way.
type partWriter struct {
	st     *staging
	part   int
	sum    uint32
	offset int64
	length int64
	slot   *slot
	me     int
	file   *os.File
	failed int // the upload's failed syncs when this began
}

// take makes this call the owner of its part. It reports whether the part is durable already, with
// this checksum. While maxSlots other parts are being received, or an owner's commit is under way,
// it waits.
func (w *partWriter) take(ctx context.Context) (have bool, err error) {
	for {
		have, wait, err := w.find()
		if have || err != nil {
			return have, err
		}
		if wait == nil {
			w.slot.mu.Lock() // waits for at most one write
			isMine := !w.slot.over && w.slot.own(w)
			w.slot.mu.Unlock()
			if isMine {
				return false, nil
			}
			wait = w.slot.done
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return false, ctx.Err()
		case <-w.st.u.s.closing:
			return false, spool.ErrClosed
		}
	}
}

// own makes a call the owner, unless the part of the owner before it is being noted. Its bytes must
// stay. The caller holds the slot's mutex.
func (sl *slot) own(w *partWriter) bool {
	w.st.u.mu.Lock()
	defer w.st.u.mu.Unlock()
	if w.st.u.isNoted(w.part) && !sl.replaces {
		return false
	}
	sl.owner, sl.noter = &w.me, &w.me
	return true
}

// find finds or makes the slot of the part. It returns a channel to wait for if there is no free
// one.
func (w *partWriter) find() (have bool, wait <-chan struct{}, err error) {
	u := w.st.u
	u.mu.Lock()
	defer u.mu.Unlock()
	switch err := w.st.current(); {
	case err != nil:
		return false, nil, err
	case u.over == aborted:
		return false, nil, spool.ErrNotFound
	case u.over == published || u.has(w.part) && u.isNoted(w.part) && u.sums.of(w.part) == w.sum:
		return true, nil, nil
	}
	w.failed = u.failed
	if w.slot = u.slots[w.part]; w.slot != nil {
		return false, nil, nil
	}
	if len(u.slots) >= maxSlots {
		if u.freed == nil {
			u.freed = make(chan struct{})
		}
		return false, u.freed, nil
	}
	isNoted := u.isNoted(w.part)
	w.slot = &slot{done: make(chan struct{}), isTaken: isNoted, allocated: isNoted,
		replaces: isNoted}
	u.slots[w.part] = w.slot
	return false, nil, nil
}

// reserve takes the bytes of the part and allocates them, unless an earlier owner has done so.
func (w *partWriter) reserve(ctx context.Context) error {
	u, sl := w.st.u, w.slot
	sl.mu.Lock()
	defer sl.mu.Unlock()
	if sl.owner != &w.me {
		return errTaken
	}
	if sl.replaces {
		// A cut call must know its outcome, or a durable part would lose its blocks.
		if err := w.unnote(context.WithoutCancel(ctx)); err != nil {
			return err
		}
		sl.replaces = false
	}
	if !sl.isTaken {
		if err := u.s.takePart(ctx, u, w.length); err != nil {
			return err
		}
		sl.isTaken = true
	}
	if !sl.allocated {
		err := u.s.content.disk.Allocate(u.path, w.offset, w.length)
		if durable.IsFull(err) {
			return fmt.Errorf("%w: %w", spool.ErrFull, err)
		}
		if err != nil {
			return err
		}
		sl.allocated = true
		u.s.holdings.allocated(u, w.length)
	}
	return nil
}

// leave ends the slot if this call still owns it. A part that is not durable gives back its bytes.
func (w *partWriter) leave() {
	w.slot.mu.Lock()
	defer w.slot.mu.Unlock()
	if w.slot.owner == &w.me {
		w.st.u.endSlot(w.part, w.slot)
	}
}

// endSlot ends a slot. The caller holds the slot's mutex.
func (u *upload) endSlot(part int, sl *slot) {
	if sl.over {
		return
	}
	sl.over, sl.owner = true, nil
	u.mu.Lock()
	sl.noter = nil // from here on no call can note it
	isNoted := u.isNoted(part)
	u.mu.Unlock()
	if !isNoted && sl.isTaken {
		u.giveBack(part, sl)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.slots, part)
	if u.freed != nil {
		close(u.freed)
		u.freed = nil
	}
	close(sl.done)
}

// giveBack frees the blocks of a part that was not received to its end, and its bytes.
func (u *upload) giveBack(part int, sl *slot) {
	n := u.length(part)
	blocks := int64(0)
	if sl.allocated {
		blocks = n
		err := u.s.content.disk.Punch(u.path, int64(part)*spool.PartSize, n)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			u.s.opts.Log.Warn("blocks of a part not freed; the next start does it",
				"envelope", u.name.envelope, "part", part, "err", err)
		}
	}
	u.s.holdings.giveBack(u, n, blocks)
}

// displace ends the right to write of all callers, and their slots. It returns the number of the
// new holder. The caller holds the id's lock, so that no newer caller writes yet.
func (u *upload) displace() (holder int) {
	u.mu.Lock()
	u.holder++
	holder = u.holder
	old := maps.Clone(u.slots)
	u.mu.Unlock()
	for part, sl := range old {
		sl.mu.Lock() // waits for at most one write or commit
		u.endSlot(part, sl)
		sl.mu.Unlock()
	}
	return holder
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
	if sum != w.sum {
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

// unnote records that a part is missing, before a new one takes its place.
func (w *partWriter) unnote(ctx context.Context) error {
	u := w.st.u
	return u.s.submit(u.change(ctx, func(g *group) error {
		if err := w.mayNote(); err != nil {
			return err
		}
		g.next()
		u.noted[w.part/8] &^= 1 << (w.part % 8)
		g.set(uploadKey(keyParts, u.name), u.note(u.active))
		g.after = append(g.after, func() {
			u.mu.Lock()
			defer u.mu.Unlock()
			u.have[w.part/8] &^= 1 << (w.part % 8)
			u.absent++
		})
		return nil
	}))
}

// mayNote returns an error unless this call may change the state of its part. The writer calls it,
// and holds u.mu.
func (w *partWriter) mayNote() error {
	if w.st.u.over != underWay {
		return spool.ErrNotFound
	}
	if err := w.st.current(); err != nil {
		return err
	}
	if w.slot.noter != &w.me {
		return errTaken
	}
	return nil
}

// change returns a change of the durable parts. The writer applies it and holds u.mu.
func (u *upload) change(ctx context.Context, apply func(*group) error) *change {
	return &change{ctx: ctx, need: needFloor, entries: 3,
		bytes: len(u.have) + 4*sumsInRow + 512, apply: func(g *group) error {
			u.mu.Lock()
			defer u.mu.Unlock()
			return apply(g)
		}}
}

// note records that the part is durable.
func (w *partWriter) note(ctx context.Context) error {
	u := w.st.u
	return u.s.submit(u.change(ctx, func(g *group) error {
		if err := w.mayNote(); err != nil {
			return err
		}
		g.next()
		u.noted[w.part/8] |= 1 << (w.part % 8)
		row := u.sums.set(w.part, w.sum)
		g.set(partSumsKey(u.name, row), encodeSums(u.sums[row][:]))
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
	}))
}
