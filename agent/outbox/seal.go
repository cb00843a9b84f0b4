package outbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"sealpost/agent/ledger"
	"sealpost/agent/tray"
	"sealpost/envelope"
	"sealpost/hub/api"
	"sealpost/internal/beneath"
	"sealpost/internal/fault"
	"sealpost/internal/id"
	"sealpost/internal/progress"
	"sealpost/internal/reason"
	"sealpost/statement"
)

// sealReserve is the free space that sealing a large file leaves on the state folder's volume.
const sealReserve = 256 << 20

// sealed is an envelope on its way to the hub.
type sealed struct {
	ledger.Envelope
	address  id.Address
	messages []ledger.Outgoing
	content  *bytes.Buffer // of a small one; nil: it lies in a file
	brought  atomic.Int64  // parts of a large one that this process has brought to the hub
	fewer    int           // how often partsAtOnce is halved for it
	meter    *progress.Meter
}

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func (s *sealed) free() {
	if s.content != nil {
		s.content.Reset()
		buffers.Put(s.content)
	}
}

// retry is the rest of a job that has ended.
type retry struct {
	batches [][]ledger.Outgoing // each is retried
	noRoom  bool                // there is no room to seal its one message
	waiting bool                // its messages wait in the ledger again
}

// send seals the messages of a job and publishes the envelope. A message whose file cannot be
// sealed now is set aside with its reason, and the others are tried again without it. An error is
// the ledger's.
func (o *Outbox) send(ctx context.Context, j job) (next retry, err error) {
	s := j.sealed
	if s == nil {
		if s, err = o.seal(ctx, j); err != nil {
			return o.unsealed(ctx, j, err)
		}
		defer s.free()
		for _, m := range s.messages {
			o.said.isNew(string(m.ID), "")
		}
	}
	next.waiting, err = o.publish(ctx, s)
	return next, err
}

// unsealed handles a job whose sealing has failed. It retries without the messages that are
// unreadable or no longer wait. If all are readable, it retries each by itself, because one of them
// causes the failure.
func (o *Outbox) unsealed(ctx context.Context, j job, cause error) (next retry, err error) {
	var full *noRoom
	switch {
	case errors.Is(cause, errLedger) || ctx.Err() != nil:
		return next, cause
	case errors.Is(cause, errNotWaiting):
		left, err := o.stillWaiting(ctx, j.messages)
		if len(left) > 0 && len(left) < len(j.messages) {
			next.batches = [][]ledger.Outgoing{left}
		}
		return next, err
	case errors.As(cause, &full):
		next.noRoom = true
		return next, o.explainNoRoom(ctx, j.messages[0], full.why)
	case len(j.messages) == 1:
		return next, o.setAside(ctx, j.messages[0], cause)
	}
	good, err := o.readable(ctx, j.messages)
	if len(good) < len(j.messages) && len(good) > 0 {
		next.batches = [][]ledger.Outgoing{good}
		return next, err
	}
	for i := range good {
		next.batches = append(next.batches, good[i:i+1])
	}
	return next, err
}

// errNotWaiting is the error of a message that was recalled, or whose file changed, before it was
// sealed. Its ciphertext is discarded.
var errNotWaiting = errors.New("not waiting")

// stillWaiting returns the messages of a list that the ledger has as they were read.
func (o *Outbox) stillWaiting(ctx context.Context,
	list []ledger.Outgoing) (left []ledger.Outgoing, err error) {
	err = o.view(ctx, func(tx *ledger.Tx) error {
		left = nil
		for _, m := range list {
			now, err := tx.Message(string(m.UID))
			if err != nil && !errors.Is(err, ledger.ErrNotFound) {
				return err
			}
			if err == nil && now.State == m.State && same(now.Source, m.Source) {
				left = append(left, m)
			}
		}
		return nil
	})
	return left, err
}

// readable returns the messages with unchanged, readable files, and records the reasons of the
// others.
func (o *Outbox) readable(ctx context.Context, list []ledger.Outgoing) ([]ledger.Outgoing, error) {
	good := list[:0:0]
	from := o.sources()
	defer from.close()
	for _, m := range list {
		f, err := from.open(m, m.Name, m.Source)
		if err == nil {
			err = f.Close()
		}
		if err == nil {
			good = append(good, m)
			continue
		}
		if err := o.setAside(ctx, m, err); err != nil {
			return nil, err
		}
	}
	return good, nil
}

// explainNoRoom records the reason of a message that waits for room to seal it.
func (o *Outbox) explainNoRoom(ctx context.Context, m ledger.Outgoing, why reason.Reason) error {
	o.logUnsealed(m, why.Code, why)
	return o.ledger.Update(ctx, func(tx *ledger.Tx) error {
		_, err := tx.Advance(m.UID, m.State, ledger.Taken, why)
		return err
	})
}

// logUnsealed logs the reason of a message that cannot be sealed, once for each cause.
func (o *Outbox) logUnsealed(m ledger.Outgoing, cause reason.Code, why reason.Reason) {
	if o.said.isNew(string(m.ID), string(cause)) {
		o.log.Warn("not sealed", "message", m.ID, "reason", why)
	}
}

// setAside withdraws a message whose file is gone. Any other that could not be sealed waits, as
// claimed, until the sweep finds it finished and readable again.
func (o *Outbox) setAside(ctx context.Context, m ledger.Outgoing, cause error) error {
	t := o.tray(m.Tray)
	if h, err := t.open(); err == nil {
		defer h.Close()
		isGone, err := t.isMissing(ctx, h, m, cause)
		if err != nil {
			return err
		}
		if isGone {
			return t.withdraw(ctx, h, m, m.State, removedBefore())
		}
	}
	why := reason.New("unreadable-now", "why", tray.Plain(cause))
	if errors.Is(cause, tray.ErrChanged) || errors.Is(cause, envelope.ErrSourceChanged) {
		why = reason.New("changed-while-sent")
	}
	o.logUnsealed(m, reason.Code(rootOf(cause)), why)
	return o.ledger.Update(ctx, func(tx *ledger.Tx) error {
		_, err := tx.Advance(m.UID, m.State, ledger.Claimed, why)
		return err
	})
}

// seal makes one envelope: in memory when it is small, otherwise in a durable file before its
// record. The sources are compared with their claims again afterwards.
func (o *Outbox) seal(ctx context.Context, j job) (*sealed, error) {
	d, list := j.decision, j.messages
	s := &sealed{address: d.address, messages: list}
	s.ID, s.Address, s.RouteVersion, s.Sealed = j.envelope, d.address.String(), d.version,
		time.Now().UTC()
	for _, r := range d.recipients {
		s.Recipients = append(s.Recipients, ledger.Recipient{Site: r.Site,
			Key: statement.RecipientKeyHash(r.Key)})
	}
	from := o.sources()
	defer from.close()
	if list[0].Folder {
		if err := o.sortTree(ctx, from, list[0]); err != nil {
			return nil, err
		}
	}
	req := envelope.SealRequest{Network: o.cfg.Network, Envelope: s.ID, Sender: o.site,
		Address: d.address, Recipients: d.recipients}
	for _, m := range list {
		req.Messages = append(req.Messages, o.message(ctx, from, m))
	}
	out, err := o.sealInto(s, req)
	fault.Point("outbox-sealing")
	if err == nil {
		err = from.unchanged(list)
	}
	if err == nil {
		s.Size, s.CRC32C = out.Size, out.CRC32C
		err = o.record(ctx, s, out.Digests)
	}
	if err != nil && list[0].Folder { // otherwise see dropTrees
		err = errors.Join(err, o.dropTree(ctx, list[0].UID))
	}
	if err != nil {
		s.free()
		o.removeSealed(s.ID, s.File)
		return nil, err
	}
	o.log.Info("sealed", "messages", labels(list), "envelope", s.ID, "size", s.Size, "recipients",
		len(s.Recipients))
	fault.Point("outbox-sealed")
	return s, nil
}

func (o *Outbox) record(ctx context.Context, s *sealed, digests []id.Hash) error {
	rows := make([]ledger.SealedMessage, len(s.messages))
	for i, m := range s.messages {
		rows[i] = ledger.SealedMessage{Seq: m.Seq, UID: m.UID, Digest: digests[i]}
	}
	err := o.ledger.Update(ctx, func(tx *ledger.Tx) error {
		return tx.Seal(s.Envelope, rows, s.messages[0].State)
	})
	if errors.Is(err, ledger.ErrNotFound) {
		return errNotWaiting
	}
	if err != nil {
		return fmt.Errorf("%w: record envelope %s: %w", errLedger, s.ID, err)
	}
	return nil
}

func (o *Outbox) sealInto(s *sealed, req envelope.SealRequest) (envelope.Sealed, error) {
	size := sizeOf(s.messages)
	if m := s.messages[0]; m.Folder {
		size += m.Source.Entries * 4096 // the archive's headers, and names in PAX headers
		return o.sealFile(s, req, size)
	}
	if size > smallContent && len(s.messages) == 1 {
		return o.sealFile(s, req, size)
	}
	s.content = buffers.Get().(*bytes.Buffer)
	out, err := envelope.Seal(s.content, req, o.cfg.Identity)
	if err == nil && out.Size > api.SmallSize {
		err = fmt.Errorf("%w: %d bytes", envelope.ErrTooLarge, out.Size)
	}
	return out, err
}

// noRoom is the error of a sealed file for which there is no room.
type noRoom struct{ why reason.Reason }

func (e *noRoom) Error() string { return e.why.String() }

func (o *Outbox) sealFile(s *sealed, req envelope.SealRequest,
	size int64) (envelope.Sealed, error) {
	dir, err := o.sealed()
	if err != nil {
		return envelope.Sealed{}, err
	}
	defer dir.Close()
	size = min(size, 2*tray.MaxSize) // a claim of before that bound may be larger
	size += size / 512               // age adds 16 bytes to each 64 KiB
	reserved, free, others, err := o.desk.reserveSpace(dir, size)
	if err != nil {
		return envelope.Sealed{}, err
	}
	if reserved == nil {
		return envelope.Sealed{}, &noRoom{reason.New("no-room-to-seal", "dir", o.cfg.State,
			"free", reason.Size(free), "others", orNone(reason.Size(others)),
			"need", reason.Size(size), "keep", reason.Size(sealReserve))}
	}
	defer o.desk.releaseSpace(reserved)
	s.File = string(s.ID)
	f, err := dir.Create(s.File, 0o600)
	if err != nil {
		return envelope.Sealed{}, err
	}
	reserved.file = f
	out, err := envelope.Seal(reserved, req, o.cfg.Identity)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = dir.Sync()
	}
	return out, err
}

// removeSealed removes an envelope's file. If another program holds it, the next start removes it.
func (o *Outbox) removeSealed(e id.Envelope, file string) {
	if file == "" {
		return
	}
	dir, err := o.sealed()
	if err == nil {
		defer dir.Close()
		err = dir.Remove(file)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		o.log.Warn("a sealed file stays until the next start", "envelope", e, "error", err)
	}
}

// sealed opens the folder of sealed files.
func (o *Outbox) sealed() (*beneath.Dir, error) {
	state, err := beneath.Open(o.cfg.State)
	if err != nil {
		return nil, err
	}
	defer state.Close()
	return state.Dir(sealedFolder)
}

// message describes a claimed message to the envelope.
func (o *Outbox) message(ctx context.Context, from *sources, m ledger.Outgoing) envelope.Message {
	out := envelope.Message{ID: m.ID, UID: m.UID, Sent: m.Claimed, Name: m.Name,
		Type: envelope.TypeFile, FingerprintKey: m.FingerprintKey}
	if m.Folder {
		out.Type, out.Entries = envelope.TypeFolder, o.treeEntries(ctx, from, m)
		return out
	}
	out.Entries = one(from.entry(m, m.Name, m.Source))
	return out
}

func one(e envelope.Entry) iter.Seq2[envelope.Entry, error] {
	return func(yield func(envelope.Entry, error) bool) { yield(e, nil) }
}

// sources opens the content of messages that are being sealed, in trays that it holds open.
type sources struct {
	o     *Outbox
	trays map[string]*handles
}

func (o *Outbox) sources() *sources { return &sources{o, map[string]*handles{}} }

func (s *sources) close() {
	for _, h := range s.trays {
		h.Close()
	}
}

func (s *sources) of(m ledger.Outgoing) (*handles, error) {
	if h := s.trays[m.Tray]; h != nil {
		h.Relax()
		return h, nil
	}
	h, err := s.o.tray(m.Tray).open()
	if err == nil {
		s.trays[m.Tray] = h
	}
	return h, err
}

// open opens a file of a message by its path in the envelope, if it is the claimed one.
func (s *sources) open(m ledger.Outgoing, name string, want ledger.Source) (*os.File, error) {
	h, err := s.of(m)
	if err != nil {
		return nil, err
	}
	d, base, err := h.At(folderAt(m) + "/" + name)
	if err != nil {
		return nil, err
	}
	return openSource(d, base, want)
}

func (s *sources) entry(m ledger.Outgoing, name string, source ledger.Source) envelope.Entry {
	return envelope.Entry{
		Path: name, Executable: source.Executable, ModTime: time.Unix(0, source.ModTime),
		Size: source.Size,
		Open: func() (io.ReadCloser, error) { return s.open(m, name, source) },
	}
}

// unchanged compares the sources with their claims.
func (s *sources) unchanged(list []ledger.Outgoing) error {
	for _, m := range list {
		h, err := s.of(m)
		if err != nil {
			return err
		}
		now, err := h.observe(sourceAt(m))
		if err != nil {
			return err
		}
		if !same(now, m.Source) {
			return fmt.Errorf("%s: %w", m.ID, tray.ErrChanged)
		}
	}
	return nil
}
