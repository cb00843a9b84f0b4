package inbox

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"strconv"
	"time"

	"sealpost/agent/ledger"
	"sealpost/envelope"
	"sealpost/hub/api"
	"sealpost/internal/beneath"
	"sealpost/internal/fault"
	"sealpost/internal/id"
	"sealpost/internal/progress"
	"sealpost/internal/reason"
	"sealpost/internal/trouble"
	"sealpost/statement"
)

// largeOpeners is the number of concurrent downloads of envelopes beyond api.SmallSize.
const largeOpeners = 2

// download is the progress of one large envelope, for users.
type download struct {
	*progress.Meter
	delivery *delivery
}

// opened is one message with verified content in the temporary folder.
type opened struct {
	envelope.OpenedMessage
	temp     string // its name in the delivery's folder
	isSynced bool   // its content is already durable
	refused  error  // why this disk can never take it: its content is verified and not kept
}

// openAll opens deliveries, one at a time, until the context ends.
func (b *Inbox) openAll(ctx context.Context, from *turns, kind opener) error {
	for {
		d := from.next(ctx, kind)
		if d == nil {
			return nil
		}
		began := time.Now()
		err := b.open(ctx, d)
		from.done(d.Sender, time.Since(began))
		if err != nil {
			return err
		}
	}
}

// open downloads, decrypts and verifies one envelope into the temporary folder. It releases the
// delivery after a failure that a retry may heal, and refuses one with proof against it. An error
// comes from the ledger.
func (b *Inbox) open(ctx context.Context, d *delivery) error {
	err := b.openInto(ctx, d)
	d.Content = nil // free the memory while the message waits to be placed
	if err == nil {
		fault.Point("inbox-opened")
		b.log.Info("opened", "envelope", d.Envelope, "sender", d.Sender,
			"messages", len(d.messages), "size", d.Size)
		select {
		case b.opened <- d:
		case <-ctx.Done():
		}
		return nil
	}
	var refusal *envelope.Refusal
	isRefused := errors.As(err, &refusal)
	if isRefused && refusal.Code == statement.CodeNotForMe && b.cfg.LacksKey() {
		b.release(ctx, d, api.ReleaseRequest{Code: api.ReleaseLocal, Delay: 2 * time.Minute,
			NotAttempted: true}, reason.Err("sealed-for-newer-key"))
		return nil
	}
	if isRefused {
		return b.refuse(ctx, d, refusal)
	}
	if ctx.Err() != nil {
		return nil // Run releases it
	}
	how := releaseAfter(err, d.attempts, d.Size)
	var limit envelope.LimitError
	if errors.As(err, &limit) {
		err = overLimit(d, limit)
	}
	b.release(ctx, d, how, err)
	return nil
}

// openInto opens an envelope into a folder below .sealpost/tmp, a new one or that of an earlier
// attempt. It checks space and folders first, to download nothing in vain. After a failure it
// removes the folder, unless the next attempt can go on in it.
func (b *Inbox) openInto(ctx context.Context, d *delivery) error {
	f, err := b.enter(ctx)
	if err != nil {
		return err
	}
	defer f.close()
	v, err := b.volumeOf(ctx, f, d.Sender)
	if err != nil {
		return err
	}
	top, temp, prefix := f.top, f.temp, ""
	if v != nil {
		top, temp, prefix = v.top, v.temp, string(d.Sender)+"/"
	}
	dir, at, err := b.findEdge(f, temp, d)
	if err != nil {
		return localError{err}
	}
	never, err := b.checkFit(ctx, f, top, temp, d.Size-at.Before())
	if err != nil {
		return err
	}
	if err := b.resumePlacing(ctx, f, d); err != nil {
		return err
	}
	if at != nil && never == nil {
		d.dir = dir
		b.log.Info("goes on", "envelope", d.Envelope, "at", at.At, "size", d.Size)
		err := b.unpack(ctx, f, d, nil, at)
		if err = b.leave(f, d, err); !errors.Is(err, envelope.ErrUnproven) {
			return err
		}
		b.log.Warn("begun download is useless", "envelope", d.Envelope, "error", err)
	}
	base := string(d.Envelope) + "-" + rand.Text() // never reused by another: see folders.go
	d.dir = prefix + base
	if err := temp.Mkdir(base, 0o700); err != nil {
		return localError{err}
	}
	return b.leave(f, d, b.unpack(ctx, f, d, never, nil))
}

// checkFit checks the room for so many more bytes. If it must, it makes room of begun downloads. It
// returns why the disk can never take them: then the content is only verified.
func (b *Inbox) checkFit(ctx context.Context, f *folders, top, temp *beneath.Dir,
	size int64) (never, err error) {
	for {
		room, err := top.Room()
		if err != nil {
			return nil, localError{err}
		}
		if never := b.checkEver(room, top.Path(), size, 0); never != nil {
			return never, nil
		}
		full := b.checkRoom(room, top.Path(), size)
		if full == nil {
			return nil, nil
		}
		if isFreed, err := b.makeRoom(ctx, f, temp); err != nil || !isFreed {
			return nil, cmp.Or(err, full)
		}
	}
}

// leave removes the folder of a failed attempt, unless the next one can go on in it. It returns the
// failure.
func (b *Inbox) leave(f *folders, d *delivery, failure error) error {
	var refusal *envelope.Refusal
	isUseless := errors.As(failure, &refusal) || errors.Is(failure, envelope.ErrUnproven) ||
		errors.As(failure, new(localError))
	if failure == nil || !isUseless && f.hasEdge(d.dir) {
		return failure
	}
	if err := f.discard(d.dir); err != nil {
		b.log.Warn("temporary files not removed", "envelope", d.Envelope, "error", err)
	}
	return failure
}

// unpack writes the verified content of an envelope to the folder of its attempt. It begins at an
// edge; nil: at the start. If the content never fits, it is only verified: a refusal needs that.
func (b *Inbox) unpack(ctx context.Context, f *folders, d *delivery, never error,
	at *envelope.Resumption) error {
	dir, err := f.envelope(d.dir)
	if err != nil {
		return localError{err}
	}
	src, stop := b.content(ctx, d, at.Before())
	defer stop()
	opener := envelope.Opener{
		Network: b.cfg.Network, Site: b.cfg.Site, Keys: b.cfg.Keys, Verifier: b.cfg.Trust.Verifier,
		MaxSize: b.cfg.MaxSize,
		Pin: func(site id.Site, key id.Hash) error {
			return b.cfg.Trust.Sender(ctx, site, key)
		},
	}
	to := newSink(dir, f.formOf(d.Sender))
	to.room = b.roomFor(dir)
	if never != nil {
		for n := range d.Messages {
			to.refused[n] = never
		}
	}
	if to.access.hasOwners {
		to.edges = &edges{parent: f.parentOf(d.dir)}
	}
	defer to.close()
	var out envelope.Opened
	if at == nil {
		out, err = opener.Open(src, expect(d), to)
	} else {
		out, err = opener.Resume(src, expect(d), *at, to)
	}
	if err == nil {
		err = to.finish()
	}
	if err != nil {
		return err
	}
	if d.origin, err = b.keepOrigin(ctx, d.Envelope, out, &to.signed); err != nil {
		return err
	}
	d.signer = out.SenderKey
	d.messages = make([]opened, len(out.Messages))
	for n, m := range out.Messages {
		o := opened{m, strconv.Itoa(n), d.Size > api.SmallSize, to.refused[n]}
		if err := o.syncLarge(dir); trouble.IsTooLarge(err) {
			o.refused = err
		} else if err != nil {
			return localError{err}
		}
		d.messages[n] = o
	}
	return nil
}

// syncLarge makes the content of a large message durable. Here no small message waits for it.
func (m opened) syncLarge(dir *beneath.Dir) error {
	switch {
	case !m.isSynced, m.refused != nil:
		return nil
	case m.Type == envelope.TypeFile:
		return dir.SyncFile(m.temp)
	default:
		return dir.SyncTree(m.temp)
	}
}

// source returns the ciphertext from the lease, or reads it from an offset on in ranges.
func (b *Inbox) source(ctx context.Context, d *delivery, from int64) (io.Reader, func()) {
	if d.Content != nil {
		return bytes.NewReader(d.Content), func() {}
	}
	f := fetch(ctx, b.hub, d.DeliveryID, from, d.Size, func(err error) { b.noteFailure(d, err) })
	m := progress.Start(d.Size, from, time.Now())
	b.mu.Lock()
	b.progress[d.Envelope] = &download{m, d}
	b.mu.Unlock()
	return m.NewReader(f), func() {
		f.stop()
		b.mu.Lock()
		delete(b.progress, d.Envelope)
		b.mu.Unlock()
	}
}

// expect returns the values that the hub has given for an envelope, which its content must match.
func expect(d *delivery) envelope.Expect {
	e := envelope.Expect{Envelope: d.Envelope, Sender: d.Sender, Address: d.Address, Size: d.Size,
		CRC32C: d.CRC32C, At: d.Spooled}
	for _, m := range d.Messages {
		e.Messages = append(e.Messages, envelope.ExpectMessage{ID: m.ID, UID: m.UID})
	}
	return e
}

// refuse signs a final refusal of the envelope, with a code. The details stay at this site.
func (b *Inbox) refuse(ctx context.Context, d *delivery, refusal *envelope.Refusal) error {
	list := make([]statement.ReceiptMessage, len(d.Messages))
	for i, m := range d.Messages {
		list[i] = statement.ReceiptMessage{UID: m.UID, Message: m.ID, Outcome: statement.Refused,
			Code: refusal.Code}
	}
	receipt, err := b.sign(d, list)
	if err != nil {
		return err
	}
	err = b.ledger.Update(ctx, func(tx *ledger.Tx) error {
		return tx.Receipt(d.Envelope, receipt, target(d.DeliveryID), reason.Of(refusal))
	})
	if err != nil {
		return err
	}
	fault.Point("inbox-refused")
	b.log.Error("refused", "envelope", d.Envelope, "sender", d.Sender, "code", refusal.Code,
		"error", refusal.Err)
	b.complete(d)
	wake(b.settling)
	return nil
}

// sign returns the receipt of a delivery: this site's final outcome of every message in it.
func (b *Inbox) sign(d *delivery, list []statement.ReceiptMessage) (string, error) {
	return statement.Sign(b.cfg.Identity, statement.Receipt{
		V: 1, Network: b.cfg.Network, Envelope: d.Envelope, Sender: d.Sender, Recipient: b.cfg.Site,
		Time: b.cfg.Trust.Now().UTC().Truncate(time.Millisecond), Messages: list,
	})
}
