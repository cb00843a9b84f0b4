package inbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"sealpost/agent/ledger"
	"sealpost/envelope"
	"sealpost/hub/api"
	"sealpost/internal/durable"
	"sealpost/internal/fault"
	"sealpost/internal/id"
	"sealpost/internal/words"
	"sealpost/statement"
)

// largeOpeners is how many envelopes beyond api.SmallSize are downloaded at the same time.
const largeOpeners = 2

// opened is one message whose content lies verified in the temporary folder.
type opened struct {
	envelope.OpenedMessage
	temp   string // relative to the inbox
	synced bool   // its content is durable already
}

func (b *Inbox) openAll(ctx context.Context, queue <-chan *delivery) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case d := <-queue:
			if err := b.open(ctx, d); err != nil {
				return err
			}
		}
	}
}

// open downloads, decrypts and verifies one envelope into the temporary folder. What may heal is handed back; what is
// proven to be at fault is refused for ever. An error is the ledger's.
func (b *Inbox) open(ctx context.Context, d *delivery) error {
	err := b.tryOpen(ctx, d)
	d.Content = nil // it was read, and is not needed while the message waits to be placed
	if err == nil {
		fault.Point("inbox-opened")
		b.log.Info("opened", "envelope", d.Envelope, "sender", d.Sender, "messages", len(d.messages), "size", d.Size)
		select {
		case b.opened <- d:
		case <-ctx.Done():
		}
		return nil
	}
	if d.dir != "" {
		if err := discard(d.dir); err != nil {
			b.log.Warn("temporary files stay until the next start", "envelope", d.Envelope, "error", err)
		}
	}
	var refusal *envelope.Refusal
	if errors.As(err, &refusal) {
		return b.refuse(ctx, d, refusal)
	}
	if ctx.Err() != nil {
		return nil // handed back with all the others
	}
	b.release(ctx, d, handing(err, d.attempts), err)
	return nil
}

func (b *Inbox) tryOpen(ctx context.Context, d *delivery) error {
	if err := b.room(d.Size); err != nil {
		return err
	}
	if err := b.resumePlacing(ctx, d); err != nil {
		return err
	}
	d.dir = filepath.Join(b.temp(), string(d.Envelope))
	if err := errors.Join(discard(d.dir), os.Mkdir(d.dir, 0o700)); err != nil {
		return localError{err}
	}
	root, err := os.OpenRoot(d.dir)
	if err != nil {
		return localError{err}
	}
	defer root.Close()
	src, stop := b.source(ctx, d)
	defer stop()
	opener := envelope.Opener{
		Network: b.cfg.Network, Site: b.cfg.Site, Keys: b.cfg.Keys, Verifier: b.cfg.Trust.Verifier, MaxSize: b.cfg.MaxSize,
		Pin: func(site id.Site, key id.Hash) error { return b.cfg.Trust.Identity(ctx, site, key) },
	}
	to := newSink(root)
	defer to.close()
	out, err := opener.Open(src, expect(d), to)
	if err == nil {
		err = to.finish()
	}
	if err != nil {
		return err
	}
	d.signer = out.SenderKey
	d.messages = make([]opened, len(out.Messages))
	for n, m := range out.Messages {
		d.messages[n] = opened{m, filepath.Join(tempDir, string(d.Envelope), strconv.Itoa(n)), d.Size > api.SmallSize}
		if err := b.syncLarge(d.messages[n]); err != nil {
			return localError{err}
		}
	}
	return nil
}

// syncLarge makes the content of a large message durable here, where only large ones wait for it.
func (b *Inbox) syncLarge(m opened) error {
	switch temp := b.at(m.temp); {
	case !m.synced:
		return nil
	case m.Type == envelope.TypeFile:
		return durable.SyncFile(temp)
	default:
		return durable.SyncTree(temp)
	}
}

// source is the ciphertext: brought along by the lease, or read from the hub in ranges.
func (b *Inbox) source(ctx context.Context, d *delivery) (io.Reader, func()) {
	if d.Content != nil {
		return bytes.NewReader(d.Content), func() {}
	}
	f := fetch(ctx, b.hub, d.DeliveryID, d.Size, func(err error) { b.explain(d, err) })
	p := b.track(d)
	return p.NewReader(f), func() { f.stop(); b.untrack(d) }
}

func expect(d *delivery) envelope.Expect {
	e := envelope.Expect{Envelope: d.Envelope, Sender: d.Sender, Address: d.Address, Size: d.Size, CRC32C: d.CRC32C, At: d.Spooled}
	for _, m := range d.Messages {
		e.Messages = append(e.Messages, envelope.ExpectMessage{ID: m.ID, UID: m.UID})
	}
	return e
}

// room makes sure that content of this size leaves the reserve free.
func (b *Inbox) room(size int64) error {
	free, err := durable.Free(b.cfg.Dir)
	if err != nil {
		return localError{err}
	}
	if free-size < b.cfg.Reserve {
		return words.InboxFull(errFull, b.cfg.Dir, free, b.cfg.Reserve, size)
	}
	return nil
}

// refuse signs that the envelope will never be accepted, and why, in a code. The details stay here.
func (b *Inbox) refuse(ctx context.Context, d *delivery, why *envelope.Refusal) error {
	list := make([]statement.ReceiptMessage, len(d.Messages))
	for i, m := range d.Messages {
		list[i] = statement.ReceiptMessage{UID: m.UID, Message: m.ID, Outcome: statement.Refused, Code: why.Code}
	}
	receipt, err := b.sign(d, list)
	if err != nil {
		return err
	}
	err = b.ledger.Update(ctx, func(tx *ledger.Tx) error { return tx.Receipt(d.Envelope, receipt, target(d.DeliveryID), why.Error()) })
	if err != nil {
		return err
	}
	fault.Point("inbox-refused")
	b.log.Error("refused", "envelope", d.Envelope, "sender", d.Sender, "code", why.Code, "error", why.Err)
	b.done(d)
	poke(b.settling)
	return nil
}

// sign makes the receipt of a delivery: this site's final word on every message in it.
func (b *Inbox) sign(d *delivery, list []statement.ReceiptMessage) (string, error) {
	return statement.Sign(b.cfg.Identity, statement.Receipt{
		V: 1, Network: b.cfg.Network, Envelope: d.Envelope, Sender: d.Sender, Recipient: b.cfg.Site,
		Time: b.cfg.Trust.Now().UTC().Truncate(time.Millisecond), Messages: list,
	})
}

// sink writes content under a folder that nobody looks into, as <message>[/<path below the message's own folder>]. Names
// are mapped to portable ones here, and os.Root keeps everything inside whatever they are.
//
// A folder's time is set at the end, because writing into it changes it; until then the times lie in a file, since there
// may be any number of folders.
type sink struct {
	root  *os.Root
	times *os.File // of folders; nil: there is none
	twins twins
}

func newSink(root *os.Root) *sink { return &sink{root: root, twins: twins{names: sums{root: root}}} }

// timesFile cannot be a message, which is named by its number.
const timesFile = "times"

type dirTime struct {
	Name string    `json:"name"`
	Time time.Time `json:"time"`
}

func (s *sink) Dir(message int, path string, mtime time.Time) error {
	// The umask of the service, or the inbox's default access list, decides who may take it.
	name, err := s.make(message, path, func(name string) error { return s.root.Mkdir(name, 0o777) })
	if err != nil {
		return err
	}
	if s.times == nil {
		if s.times, err = s.root.OpenFile(timesFile, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
			return localError{err}
		}
	}
	if err := json.NewEncoder(s.times).Encode(dirTime{name, mtime}); err != nil {
		return localError{err}
	}
	return nil
}

// finish gives the folders their times.
func (s *sink) finish() error {
	if s.times == nil {
		return nil
	}
	if _, err := s.times.Seek(0, io.SeekStart); err != nil {
		return localError{err}
	}
	for lines := json.NewDecoder(s.times); ; {
		var d dirTime
		err := lines.Decode(&d)
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = s.root.Chtimes(d.Name, d.Time, d.Time)
		}
		if err != nil {
			return localError{err}
		}
	}
}

func (s *sink) close() {
	s.twins.names.close()
	if s.times != nil {
		s.times.Close() //nolint:errcheck // it was read, and goes with the temporary folder
	}
}

func (s *sink) File(message int, path string, executable bool, mtime time.Time, _ int64) (io.WriteCloser, error) {
	mode := os.FileMode(0o666)
	if executable {
		mode = 0o777
	}
	var f *os.File
	name, err := s.make(message, path, func(name string) (err error) {
		f, err = s.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &sinkFile{File: f, root: s.root, name: name, mtime: mtime}, nil
}

type sinkFile struct {
	*os.File
	root  *os.Root
	name  string
	mtime time.Time
}

func (f *sinkFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	if err != nil {
		return n, localError{err}
	}
	return n, nil
}

// Close gives the file its time. It does not sync: a group of messages is synced at once before it is placed.
func (f *sinkFile) Close() error {
	fault.Point("inbox-written")
	err := durable.SetTime(f.File, f.mtime)
	byName := errors.Is(err, durable.ErrUnsupported)
	if byName {
		err = nil
	}
	err = errors.Join(err, f.File.Close())
	if err == nil && byName {
		err = f.root.Chtimes(f.name, f.mtime, f.mtime)
	}
	if err != nil {
		return localError{err}
	}
	return nil
}
