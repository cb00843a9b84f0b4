package envelope

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"sealpost/certs"
	"sealpost/internal/id"
)

// Opener opens the envelopes that reach one site. It is safe for concurrent use.
type Opener struct {
	Network  id.Hash
	Site     id.Site // the recipient
	Keys     *Keys
	Verifier certs.Verifier
	MaxSize  int64 // bytes of ciphertext
	// Pin compares the site's identity key with the pinned one, after the signature was verified.
	// Its error ends the opening; a retry may succeed.
	Pin func(site id.Site, key id.Hash) error

	segment int64 // ciphertext of a segment in a test; 0: the format's
	entries int   // limit of the entries in a test; 0: MaxEntries
}

// Expect is the hub's record of an envelope. Open compares it with the envelope and never trusts
// it.
type Expect struct {
	Envelope id.Envelope
	Sender   id.Site // the site that published it
	Address  id.Address
	Messages []ExpectMessage
	Size     int64
	CRC32C   []uint32
	At       time.Time // the hub's spooling time: certificates are verified at it
}

// ExpectMessage is one message's record at the hub.
type ExpectMessage struct {
	ID  id.Message
	UID id.UID
}

// Sink takes the content as it is decrypted. The signature is not verified yet: a Sink must keep
// the content in a private place, and delete it if Open returns an error. Paths are relative and
// clean, begin with the message's name, and come in the order of their bytes; otherwise they may be
// any UTF-8. message counts from 0. An error of a Sink counts as a local fault, never as the
// envelope's.
type Sink interface {
	Dir(message int, path string, mtime time.Time) error
	File(message int, path string, executable bool, mtime time.Time,
		size int64) (io.WriteCloser, error)
	// Signed takes the signed bytes of the entry before, which the caller may change later.
	Signed(entry []byte) error
}

// Opened is the verified content of an envelope. All of it is signed by the sender.
type Opened struct {
	SenderKey id.Hash
	Messages  []OpenedMessage
	Head      []byte // the exact message.json
	Signature []byte // signature.jws, over Head and the entries
}

// OpenedMessage is one message.
type OpenedMessage struct {
	ID          id.Message
	UID         id.UID
	Sent        time.Time
	Name        string
	Type        string
	Digest      id.Hash
	SHA256      id.Hash // of a file's content; empty for a folder
	Fingerprint id.Hash
	Size        int64 // bytes of all its files
	Entries     int64
}

// ErrExpect means that the hub's record cannot be one of an envelope. The envelope itself was not
// read.
var ErrExpect = errors.New("the hub's record makes no sense")

// Open reads an envelope from src and gives its content to sink. On success src was read to its
// end, and checks 1 to 7 of FORMAT.md have passed. On failure it reads the rest of src, unless the
// fault is local: only with that proof it returns a *Refusal. After any other error a retry may
// succeed.
func (o *Opener) Open(src io.Reader, want Expect, sink Sink) (Opened, error) {
	return o.open(src, want, nil, sink)
}

func (o *Opener) open(src io.Reader, want Expect, from *Resumption, sink Sink) (Opened, error) {
	if err := o.accept(want); err != nil {
		return Opened{}, fmt.Errorf("open %s: %w", want.Envelope, err)
	}
	p := openings.Get().(*opening)
	defer p.release()
	p.opener, p.want, p.sink, p.from, p.resumed = o, want, sink, from, from != nil
	p.source = source{r: src, size: want.Size, sums: want.CRC32C}
	opened, err := p.run()
	if err == nil {
		err = p.source.prove(p.buf) // age has read to the end; this checks it
	}
	if err != nil {
		return Opened{}, fmt.Errorf("open %s: %w", want.Envelope, p.judge(err))
	}
	return opened, nil
}

// LimitError means that an envelope is larger than this site accepts.
type LimitError struct {
	Size, Limit int64 // bytes of ciphertext
}

func (e LimitError) Error() string {
	return fmt.Sprintf("%d bytes, and this site accepts %d", e.Size, e.Limit)
}

// accept makes the first check, of the hub's record alone.
func (o *Opener) accept(want Expect) error {
	if _, err := id.Parse128[id.Envelope](string(want.Envelope)); err != nil {
		return fmt.Errorf("%w: %w", ErrExpect, err)
	}
	if want.Size > o.MaxSize {
		return LimitError{Size: want.Size, Limit: o.MaxSize}
	}
	if want.Size <= 0 || int64(len(want.CRC32C)) != (want.Size+partSize-1)/partSize {
		return fmt.Errorf("%w: %d checksums for %d bytes", ErrExpect, len(want.CRC32C), want.Size)
	}
	if len(want.Messages) == 0 || len(want.Messages) > MaxMessages {
		return fmt.Errorf("%w: %d messages", ErrExpect, len(want.Messages))
	}
	for _, m := range want.Messages {
		_, site, err := id.ParseMessage(string(m.ID))
		if err != nil || site != want.Sender {
			return fmt.Errorf("%w: message %.80q is not of %.40q", ErrExpect, m.ID, want.Sender)
		}
		if _, err := id.Parse128[id.UID](string(m.UID)); err != nil {
			return fmt.Errorf("%w: %w", ErrExpect, err)
		}
	}
	return nil
}

// opening is one run of the checks, and its buffers.
type opening struct {
	opener *Opener
	want   Expect
	sink   Sink
	source source
	cut    segmentReader
	tar    tarReader
	tally  *tally
	order  entryOrder
	left   int // entries that may follow

	raw     []byte      // message.json
	from    *Resumption // until the rest of its content is read; nil: none
	resumed bool
	single  bool // the message is one file
	header  []byte
	buf     []byte
}

var openings = sync.Pool{New: func() any {
	return &opening{tally: newTally(), header: make([]byte, maxHeader), buf: make([]byte, 64<<10)}
}}

func (p *opening) release() {
	p.opener, p.want, p.sink, p.source, p.cut = nil, Expect{}, nil, source{}, segmentReader{}
	p.raw, p.from = nil, nil
	p.tar.reset(nil, 0)
	p.tally.reset()
	openings.Put(p)
}

// judge turns a flaw into a refusal if all of the ciphertext was read correctly. If the source
// fails, or failed before, it returns the source's error. Other errors are not the envelope's
// fault.
func (p *opening) judge(err error) error {
	var f *flaw
	if !errors.As(err, &f) {
		return err
	}
	if p.source.err != nil {
		return p.source.err
	}
	if p.resumed {
		return fmt.Errorf("%w: %w", ErrUnproven, f.err)
	}
	if err := p.source.prove(p.buf); err != nil {
		return err
	}
	return &Refusal{Code: f.code, Err: f.err}
}
