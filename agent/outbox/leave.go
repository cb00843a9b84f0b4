package outbox

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"path"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"sealpost/agent/ledger"
	"sealpost/agent/tray"
	"sealpost/envelope"
	"sealpost/internal/beneath"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// In a tray with LeavesRepeats a file stays in outbox/ if its name and content were delivered
// before, or are under way. There a job that mirrors a folder finds it, and does not bring it
// again.

const (
	// maxLeft bounds the files that were read for this. More of them are sent.
	maxLeft = 4096
	// readPause is the pause between looks at a file whose content is being read, or waits for
	// that.
	readPause = time.Second
)

// leftFiles has the files of outbox/ that were compared with delivered ones, by their paths in it.
type leftFiles struct {
	mu    sync.Mutex // guards files
	files map[string]leftFile
	sweep int // counts the sweeps
}

// leftFile is a file with the name and size of a delivered one.
type leftFile struct {
	source ledger.Source
	isRead bool          // false: it is being read
	why    reason.Reason // it stays in outbox/ for this reason; none: its content differs
	of     int64         // the message under way that it repeats; 0: none, or a delivered one
	sweep  int           // in which it was last seen
}

// get returns the state of a file that is still the same.
func (l *leftFiles) get(rel string, source ledger.Source) (one leftFile, known bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	one, known = l.files[rel]
	if !known || !same(one.source, source) {
		return leftFile{}, false
	}
	one.sweep = l.sweep
	l.files[rel] = one
	return one, true
}

// set remembers a file, and reports whether there is room for it.
func (l *leftFiles) set(rel string, one leftFile) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.files[rel]; !known && len(l.files) >= maxLeft {
		return false
	}
	if l.files == nil {
		l.files = map[string]leftFile{}
	}
	one.sweep = l.sweep
	l.files[rel] = one
	return true
}

func (l *leftFiles) forget(rel string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.files, rel)
}

// next begins a sweep, and forgets the files that the last one did not see.
func (l *leftFiles) next() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for rel, one := range l.files {
		if one.sweep != l.sweep && one.isRead {
			delete(l.files, rel)
		}
	}
	l.sweep++
}

// ready returns an entry of outbox/ that is ready to be claimed: see examine.
func (f *finder) ready(ctx context.Context, h *handles, rel string) (*found, reason.Reason) {
	ready, why := f.examine(h, rel)
	if ready == nil || ready.folder || !f.t.LeavesRepeats || f.t.isResent(rel) {
		return ready, why
	}
	if one, known := f.left.get(rel, ready.source); known {
		switch {
		case !one.isRead:
			f.schedule(rel, readPause)
			return nil, reason.Reason{}
		case one.of > 0 && !f.isUnderWay(ctx, *ready, one.of):
			f.left.forget(rel)
			return f.ready(ctx, h, rel) // its message has ended, well or not
		case !one.why.IsZero():
			return nil, one.why
		}
		if why := f.t.whyUnsure(h, *ready); !why.IsZero() {
			return nil, why
		}
		f.left.forget(rel)
		return ready, reason.Reason{}
	}
	first, err := f.t.underWayAs(ctx, *ready)
	if err == nil && first.Seq == 0 {
		first, err = f.deliveredBefore(ctx, h, *ready)
	}
	if why := f.t.whyUnsure(h, *ready); first.Seq == 0 && !why.IsZero() {
		return nil, why
	}
	if err != nil || first.Seq == 0 || !f.left.set(rel, leftFile{source: ready.source}) {
		return ready, reason.Reason{} // where the ledger fails, the claim reports it
	}
	if ready.source.Size <= ownSyncSize {
		f.readLeft(h, rel, ready.source, first)
		return f.ready(ctx, h, rel)
	}
	f.schedule(rel, readPause)
	if !f.bulkWork.TryGo(func() error {
		if h, err := f.t.open(); err == nil {
			defer h.Close()
			f.readLeft(h, rel, ready.source, first)
			return nil
		}
		f.left.forget(rel)
		return nil
	}) {
		f.left.forget(rel)
	}
	return nil, reason.Reason{}
}

// underWayAs returns the message under way that a file may repeat. It has the same name, size and
// address. A delivered one is under way until it is filed: deliveredBefore knows it from then on.
func (t *box) underWayAs(ctx context.Context, file found) (first ledger.Outgoing, err error) {
	if err := t.o.readRepeats(ctx); err != nil {
		return first, err
	}
	key := ledger.Outgoing{Tray: t.Name, Address: file.address, Name: file.name}
	seq := t.o.repeats.underWay(key)
	if seq == 0 || file.source.Size > maxRead {
		return first, nil
	}
	var list []ledger.Outgoing
	err = t.o.view(ctx, func(tx *ledger.Tx) (err error) {
		list, err = tx.Numbered([]int64{seq})
		return err
	})
	if err != nil || len(list) == 0 {
		return first, err
	}
	switch m := list[0]; {
	case m.State == ledger.Delivered && !m.FiledAt.IsZero(), m.State == ledger.Failed,
		m.State == ledger.Withdrawn:
		t.o.repeats.end(key)
		return first, nil
	case m.Tray != t.Name || m.Name != file.name || m.Folder || m.Address != file.address ||
		m.Source.Size != file.source.Size:
		return first, nil
	default:
		return m, nil
	}
}

// isUnderWay reports whether a message that a file repeats has not ended.
func (f *finder) isUnderWay(ctx context.Context, file found, seq int64) bool {
	m, err := f.t.underWayAs(ctx, file)
	return err == nil && m.Seq == seq
}

// whyUnsure returns the reason not to take a file that is older than the ledger; none: it is taken.
// It may have been sent before the ledger was lost, or after its older copy was made.
func (t *box) whyUnsure(h *handles, file found) reason.Reason {
	lost := t.o.lostAt()
	if lost.IsZero() {
		return reason.Reason{}
	}
	info, err := h.Lstat(tray.OutboxPart + "/" + file.rel())
	if err != nil || !info.Changed.Before(lost) {
		return reason.Reason{}
	}
	return reason.New("left-after-loss", "time", lost)
}

// deliveredBefore returns the message that a file may repeat. It has the same name, size and
// address, and was delivered at most RepeatWindow before the file came.
func (f *finder) deliveredBefore(ctx context.Context, h *handles,
	file found) (first ledger.Outgoing, err error) {
	m, err := f.t.repeatable(ctx, file.name, file.address, file.source.Size)
	if err != nil || m.Seq == 0 {
		return first, err
	}
	info, err := h.Lstat(tray.OutboxPart + "/" + file.rel())
	if err != nil || info.Changed.Sub(m.FiledAt) >= f.t.RepeatWindow {
		return first, nil
	}
	return m, nil
}

// repeatable returns the latest delivered message of a name, if it had this address and size.
func (t *box) repeatable(ctx context.Context, name, address string,
	size int64) (first ledger.Outgoing, err error) {
	if err := t.o.readRepeats(ctx); err != nil {
		return first, err
	}
	seq := t.o.repeats.of(ledger.Outgoing{Tray: t.Name, Address: address, Name: name})
	if seq == 0 || size > maxRead {
		return first, nil
	}
	var m ledger.Outgoing
	err = t.o.view(ctx, func(tx *ledger.Tx) error {
		list, err := tx.Numbered([]int64{seq})
		if err != nil || len(list) == 0 {
			return err
		}
		isComplete, err := hasReached(tx, list[0])
		if isComplete {
			m = list[0]
		}
		return err
	})
	if err != nil {
		return first, err
	}
	if m.Tray != t.Name || m.Name != name || m.Folder || m.State != ledger.Delivered ||
		m.Address != address || m.Source.Size != size {
		return first, nil
	}
	return m, nil
}

// hasReached reports whether a delivered message has reached every site that is approved for its
// address now.
func hasReached(tx *ledger.Tx, m ledger.Outgoing) (bool, error) {
	sites, _, err := tx.Approval(m.Address)
	if errors.Is(err, ledger.ErrNotFound) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	outcomes, err := tx.Outcomes(m.UID)
	for _, site := range sites {
		if !slices.ContainsFunc(outcomes, func(o ledger.Outcome) bool {
			return o.Site == site && o.Outcome == ledger.OutcomeDelivered
		}) {
			return false, err
		}
	}
	return true, err
}

// Earlier is a delivered message that a file may repeat, with the values to compare its content.
type Earlier struct {
	Message id.Message    `json:"message_id"`
	Name    string        `json:"name"`
	Time    time.Time     `json:"time"` // of its move to delivered/
	Source  ledger.Source `json:"source"`
	Digest  id.Hash       `json:"digest"`
}

// Earlier returns the message that a file of this size in a folder of outbox/ would repeat. It
// returns none if the tray would send the file whatever its content.
func (o *Outbox) Earlier(ctx context.Context, in, folder, name string,
	size int64) (*Earlier, error) {
	t := o.tray(in)
	if t == nil || !t.LeavesRepeats {
		return nil, nil
	}
	address, err := t.addressOf(cmp.Or(folder, "."))
	if err != nil {
		return nil, nil // the file is left alone for that
	}
	m, err := t.repeatable(ctx, name, address, size)
	if err != nil || m.Seq == 0 || time.Since(m.FiledAt) >= t.RepeatWindow {
		return nil, err
	}
	return &Earlier{m.ID, m.Name, m.FiledAt, m.Source, m.Digest}, nil
}

// IsContentOf reports whether a file has the content of the message, with any time.
func (e Earlier) IsContentOf(file string) bool {
	d, err := beneath.Open(filepath.Dir(file))
	if err != nil {
		return false
	}
	defer d.Close()
	return e.isContentOf(d, filepath.Base(file))
}

func (e Earlier) isContentOf(d *beneath.Dir, name string) bool {
	content, err := sumFile(d, name)
	if err != nil {
		return false
	}
	sum := sha256.Sum256(envelope.AppendEntry(nil, path.Base(e.Name), false, e.Source.Executable,
		time.Unix(0, e.Source.ModTime), e.Source.Size, content))
	return hex.EncodeToString(sum[:]) == string(e.Digest)
}

// readLeft compares the content of a file with that of a delivered one.
func (f *finder) readLeft(h *handles, rel string, source ledger.Source, first ledger.Outgoing) {
	at := tray.OutboxPart + "/" + rel
	one := leftFile{source: source, isRead: true}
	switch {
	case first.FiledAt.IsZero() && h.isContentUnderWay(at, first):
		one.why, one.of = reason.New(reason.LeftUnderWay, "message", first.ID), first.Seq
	case !first.FiledAt.IsZero() && h.isContentOf(at, first):
		one.why = reason.New(reason.LeftRepeat, "message", first.ID, "time", first.FiledAt)
	}
	if now, err := h.observe(at); err != nil || !same(now, source) {
		f.left.forget(rel)
		return
	}
	f.left.set(rel, one)
}

// isContentUnderWay reports whether the file at a path has the content of a message under way, with
// any time.
func (h *handles) isContentUnderWay(at string, m ledger.Outgoing) bool {
	if m.Digest != "" {
		return h.isContentOf(at, m)
	}
	var sums [2][sha256.Size]byte
	for i, rel := range []string{at, sourceAt(m)} {
		d, name, err := h.At(rel)
		if err == nil {
			sums[i], err = sumFile(d, name)
		}
		if err != nil {
			return false
		}
	}
	return sums[0] == sums[1]
}

// maxResent bounds the copies of resend that are remembered until they are claimed.
const maxResent = 1024

// resend notes a copy in outbox/ that an operator wants to be sent again.
func (t *box) resend(rel string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.resent == nil || len(t.resent) >= maxResent {
		t.resent = map[string]bool{}
	}
	t.resent[rel] = true
}

func (t *box) isResent(rel string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.resent[rel]
}
