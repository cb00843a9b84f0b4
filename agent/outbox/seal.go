package outbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sealpost/agent/ledger"
	"sealpost/agent/tray"
	"sealpost/envelope"
	"sealpost/hub/api"
	"sealpost/internal/fault"
	"sealpost/internal/id"
	"sealpost/internal/progress"
	"sealpost/internal/reason"
	"sealpost/statement"
)

// sealed is an envelope on its way to the hub.
type sealed struct {
	ledger.Envelope
	address  id.Address
	messages []ledger.Outgoing
	content  *bytes.Buffer    // of a small one
	stream   *stream          // of a large one
	brought  atomic.Int64     // parts of a large one that this process has brought to the hub
	segments []ledger.Segment // of a large one, before it is reopened
	fewer    int              // how often partsAtOnce is halved for it
	meter    *progress.Meter
}

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func (s *sealed) free() {
	if s.content != nil {
		s.content.Reset()
		buffers.Put(s.content)
		s.content = nil
	}
	if s.stream != nil {
		s.stream.close()
	}
}

// retry is the rest of a job that has ended.
type retry struct {
	batches [][]ledger.Outgoing // each is retried
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
	} else if err = o.reopen(ctx, j); errors.Is(err, errOtherSeal) {
		return retry{waiting: true}, o.drop(ctx, s, "route-changed")
	}
	defer s.free()
	if err == nil {
		for _, m := range s.messages {
			o.said.isNew(string(m.ID), "")
		}
		next.waiting, err = o.publish(ctx, s)
	}
	var failed unsealedError
	if !errors.As(err, &failed) || ctx.Err() != nil {
		return next, ignoreCancel(ctx, err)
	}
	if err := o.drop(ctx, s, "not-sealed"); err != nil {
		return next, err
	}
	for i := range j.messages {
		j.messages[i].State = ledger.Taken
	}
	next, err = o.unsealed(ctx, j, failed.error)
	next.waiting = true
	return next, err
}

// unsealed handles a job whose sealing has failed. It retries without the messages that are
// unreadable or no longer wait. If all are readable, it retries each by itself, because one of them
// causes the failure.
func (o *Outbox) unsealed(ctx context.Context, j job, cause error) (next retry, err error) {
	switch {
	case errors.Is(cause, errLedger) || ctx.Err() != nil:
		return next, cause
	case errors.Is(cause, errNotWaiting):
		left, err := o.stillWaiting(ctx, j.messages)
		if len(left) > 0 && len(left) < len(j.messages) {
			next.batches = [][]ledger.Outgoing{left}
		}
		return next, err
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

// seal makes one envelope: in memory when it is small. A large one is recorded, and sealed on its
// way to the hub. The sources are compared with their claims again afterwards.
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
	digests := make([]id.Hash, len(list)) // of a large one they are not known yet
	req, err := o.request(ctx, from, s, d)
	if err == nil {
		err = o.open(s, req, from)
	}
	if err == nil && s.stream == nil {
		digests, err = o.sealSmall(s, req)
	}
	fault.Point("outbox-sealing")
	if err == nil && s.stream != nil {
		err = o.mark(s.ID)
	}
	if err == nil {
		err = from.unchanged(list)
	}
	if err == nil {
		err = o.record(ctx, s, digests)
	}
	if err != nil && list[0].Folder { // otherwise see dropTrees
		err = errors.Join(err, o.dropTree(ctx, list[0].UID))
	}
	if s.stream == nil {
		from.close()
	}
	if err != nil {
		if s.stream != nil {
			o.unmark(s.ID) // it has no parts yet
		}
		s.free()
		return nil, err
	}
	o.log.Info("sealed", "messages", labels(list), "envelope", s.ID, "size", s.Size, "recipients",
		len(s.Recipients))
	fault.Point("outbox-sealed")
	return s, nil
}

// request describes the messages of an envelope, in the order of their entries.
func (o *Outbox) request(ctx context.Context, from *sources, s *sealed,
	d *decision) (envelope.SealRequest, error) {
	req := envelope.SealRequest{Network: o.cfg.Network, Envelope: s.ID, Sender: o.site,
		Address: d.address, Recipients: d.recipients}
	if s.messages[0].Folder {
		if err := o.sortTree(ctx, from, s.messages[0]); err != nil {
			return req, err
		}
	}
	for _, m := range s.messages {
		req.Messages = append(req.Messages, o.message(ctx, from, m))
	}
	return req, nil
}

// open makes the stream of an envelope that is too large for memory.
func (o *Outbox) open(s *sealed, req envelope.SealRequest, from *sources) error {
	if m := s.messages[0]; len(s.messages) > 1 || !m.Folder && m.Source.Size <= smallContent {
		return nil
	}
	plan, err := envelope.NewPlan(req, o.cfg.Identity)
	if err == nil && plan.Size > api.SmallSize {
		s.Size, s.stream = plan.Size, o.newStream(s, plan, from)
	}
	return err
}

// errOtherSeal is the error of an envelope that cannot be sealed on as it was begun.
var errOtherSeal = errors.New("envelope not resumable")

// reopen continues an envelope that a former process began to seal. Recipients, keys, size and
// signer have to be the same.
func (o *Outbox) reopen(ctx context.Context, j job) error {
	s, d := j.sealed, j.decision
	if len(s.CRC32C) > 0 {
		return nil // all of it was sealed and uploaded
	}
	if d == nil || !d.isOpen() || d.version != s.RouteVersion {
		return errOtherSeal
	}
	same := slices.EqualFunc(d.recipients, s.Recipients,
		func(r envelope.Recipient, was ledger.Recipient) bool {
			return r.Site == was.Site && statement.RecipientKeyHash(r.Key) == was.Key
		})
	if !same {
		return errOtherSeal
	}
	from := o.sources()
	segments, size := s.segments, s.Size
	req, err := o.request(ctx, from, s, d)
	if err == nil {
		err = o.open(s, req, from)
	}
	if err == nil && (s.stream == nil || s.Size != size) {
		err = errOtherSeal
	}
	if s.stream == nil {
		from.close()
	} else {
		s.stream.segments = segments
	}
	if err != nil && !errors.Is(err, errOtherSeal) {
		err = unsealedError{err}
	}
	return err
}

func (o *Outbox) record(ctx context.Context, s *sealed, digests []id.Hash) error {
	rows := make([]ledger.SealedMessage, len(s.messages))
	for i, m := range s.messages {
		rows[i] = ledger.SealedMessage{Seq: m.Seq, UID: m.UID, Digest: digests[i]}
	}
	err := o.ledger.Update(ctx, func(tx *ledger.Tx) error {
		if err := tx.Seal(s.Envelope, rows, s.messages[0].State); err != nil || s.stream == nil {
			return err
		}
		m := s.messages[0]
		return errors.Join(tx.AddSegment(s.ID, s.stream.segments[0]),
			tx.Explain(m.UID, reasonToKeep(m.Reason))) // for a recall
	})
	if errors.Is(err, ledger.ErrNotFound) {
		return errNotWaiting
	}
	if err != nil {
		return fmt.Errorf("%w: record envelope %s: %w", errLedger, s.ID, err)
	}
	return nil
}

// sealSmall seals an envelope in memory.
func (o *Outbox) sealSmall(s *sealed, req envelope.SealRequest) ([]id.Hash, error) {
	s.content = buffers.Get().(*bytes.Buffer)
	out, err := envelope.Seal(s.content, req, o.cfg.Identity)
	if err == nil && out.Size > api.SmallSize {
		err = fmt.Errorf("%w: %d bytes", envelope.ErrTooLarge, out.Size)
	}
	s.Size, s.CRC32C = out.Size, out.CRC32C
	return out.Digests, err
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

// close closes the trays. A later use opens them again.
func (s *sources) close() {
	for _, h := range s.trays {
		h.Close()
	}
	clear(s.trays)
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
