package envelope

import (
	"bufio"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"sync"

	"filippo.io/age"

	"sealpost/certs"
	"sealpost/internal/id"
	"sealpost/statement"
)

// Seal writes one envelope to dst, in one pass, and signs it with the sender's identity. It returns
// ErrSourceChanged for an entry of another size. After an error dst holds a partial envelope that
// no recipient can open.
func Seal(dst io.Writer, req SealRequest, signer *certs.Identity) (Sealed, error) {
	if signer.Site() != req.Sender {
		return Sealed{}, fmt.Errorf("seal %s: the identity is of %s, not of %s", req.Envelope,
			signer.Site(), req.Sender)
	}
	keys, recipients, err := wrapFor(req.Recipients)
	if err != nil {
		return Sealed{}, fmt.Errorf("seal %s: %w", req.Envelope, err)
	}
	head, err := req.head(recipients).Format()
	if err != nil {
		return Sealed{}, fmt.Errorf("seal %s: %w", req.Envelope, err)
	}
	s := sealers.Get().(*sealer)
	defer s.release()
	sealed, err := s.seal(dst, keys, head, req, signer)
	if err != nil {
		return Sealed{}, fmt.Errorf("seal %s: %w", req.Envelope, err)
	}
	if len(req.Messages) > 1 && sealed.Size > MaxShared {
		return Sealed{}, fmt.Errorf("seal %s: %w: %d messages in %d bytes", req.Envelope,
			ErrTooLarge, len(req.Messages), sealed.Size)
	}
	return sealed, nil
}

func (req SealRequest) head(recipients []HeadRecipient) Head {
	h := Head{
		V: formatVersion, Network: req.Network, Envelope: req.Envelope, Sender: req.Sender,
		Address:    req.Address,
		Recipients: recipients, Messages: make([]HeadMessage, len(req.Messages)),
	}
	for i, m := range req.Messages {
		h.Messages[i] = HeadMessage{
			ID: m.ID, UID: m.UID, Sender: req.Sender, Sent: m.Sent.UTC(),
			Content: HeadContent{Name: m.Name, Type: m.Type}, FingerprintKey: m.FingerprintKey,
		}
	}
	return h
}

// sealer holds the buffers of one sealing. They are reused, because small envelopes are sealed by
// the thousand.
type sealer struct {
	out    partWriter
	cipher *bufio.Writer // buffers age's header; age's chunks are larger
	cut    segmentWriter
	buffer *bufio.Writer // plain, unless the parts are sealed on a goroutine of their own
	plain  plainBuffer
	edges  edges
	tally  *tally
	order  entryOrder
	left   int // entries that may follow
	header []byte
}

// plainBuffer buffers the archive. A caller may fill its free space, and then write just that.
type plainBuffer interface {
	io.Writer
	Available() int
	AvailableBuffer() []byte
	Flush() error
}

var sealers = sync.Pool{New: func() any {
	return &sealer{cipher: bufio.NewWriterSize(nil, 16<<10),
		buffer: bufio.NewWriterSize(nil, 64<<10), tally: newTally()}
}}

func (s *sealer) release() {
	s.out, s.cut = partWriter{}, segmentWriter{}
	s.cipher.Reset(nil)
	s.buffer.Reset(nil)
	s.plain, s.edges = nil, edges{}
	s.tally.reset()
	sealers.Put(s)
}

func (s *sealer) seal(dst io.Writer, keys []age.Recipient, head []byte, req SealRequest,
	signer *certs.Identity) (Sealed, error) {
	s.begin(dst, keys, req)
	s.buffer.Reset(&s.cut)
	s.plain = s.buffer
	digests, err := s.archive(head, req.Messages, signer)
	if err != nil {
		return Sealed{}, err
	}
	if err := s.plain.Flush(); err != nil {
		return Sealed{}, err
	}
	if err := s.cut.Close(); err != nil {
		return Sealed{}, err
	}
	return Sealed{Digests: digests, Size: s.out.size, CRC32C: s.out.sums}, nil
}

func (s *sealer) begin(dst io.Writer, keys []age.Recipient, req SealRequest) {
	s.out = partWriter{w: dst}
	s.cipher.Reset(&s.out)
	s.cut = segmentWriter{out: &s.out, cipher: s.cipher, keys: keys,
		size: cmp.Or(req.segment, segmentSize)}
	s.left = cmp.Or(req.entries, MaxEntries)
}

// archive writes the plaintext: the head, the messages, the signature, the end.
func (s *sealer) archive(head []byte, messages []Message,
	signer *certs.Identity) ([]id.Hash, error) {
	if err := s.small(headPath, head); err != nil {
		return nil, err
	}
	digests := make([]id.Hash, len(messages))
	for i, m := range messages {
		var err error
		if digests[i], err = s.message(i, m); err != nil {
			return nil, fmt.Errorf("message %s: %w", m.ID, err)
		}
	}
	jws := s.edges.from.Signature
	if jws == "" {
		var err error
		if jws, err = statement.Sign(signer, statement.EnvelopeSignature{V: formatVersion,
			Head: hashOf(head), Body: sumHash(s.tally.body)}); err != nil {
			return nil, err
		}
	}
	s.edges.signed = jws
	if len(jws) > maxSignature {
		return nil, fmt.Errorf("%w: a signature of %d bytes", ErrTooLarge, len(jws))
	}
	if err := s.small(signaturePath, []byte(jws)); err != nil {
		return nil, err
	}
	return digests, s.write(zeros[:])
}

// small writes message.json or signature.jws.
func (s *sealer) small(path string, data []byte) error {
	if err := s.writeHeader(member{path: path, size: int64(len(data))}); err != nil {
		return err
	}
	if err := s.write(data); err != nil {
		return err
	}
	return s.pad(int64(len(data)))
}

func (s *sealer) writeHeader(m member) error {
	s.header = appendHeader(s.header[:0], m)
	return s.write(s.header)
}

func (s *sealer) pad(size int64) error { return s.write(zeros[:padding(size)]) }

func (s *sealer) message(n int, m Message) (id.Hash, error) {
	prefix := contentPrefix + strconv.Itoa(n) + "/"
	s.order.reset(m.Name, m.Type == TypeFolder)
	for e, err := range m.Entries {
		if err != nil {
			return "", err
		}
		if err := s.entry(prefix, e); err != nil {
			return "", err
		}
	}
	if !s.order.hasStarted() {
		return "", fmt.Errorf("%q has no entry", m.Name)
	}
	if err := s.edges.restore(s.tally); err != nil {
		return "", err
	}
	return s.tally.endMessage(), nil
}

func (s *sealer) entry(prefix string, e Entry) error {
	if s.left--; s.left < 0 {
		return fmt.Errorf("%w: %q and the entries after it are too many", ErrTooLarge, e.Path)
	}
	if err := ValidPath(e.Path); err != nil {
		return err
	}
	if err := s.order.add(e.Path, e.Dir); err != nil {
		return err
	}
	m := memberOf(prefix, e)
	if m.size < 0 {
		return fmt.Errorf("%q has a size of %d", e.Path, e.Size)
	}
	if s.edges.skips(m) {
		return nil
	}
	if err := s.edges.restore(s.tally); err != nil {
		return err
	}
	if err := s.writeHeader(m); err != nil {
		return err
	}
	if !e.Dir {
		if err := s.content(e); err != nil {
			return fmt.Errorf("%q: %w", e.Path, err)
		}
	}
	if err := s.pad(m.size); err != nil {
		return err
	}
	s.tally.endEntry(e.Path, m)
	return nil
}

func memberOf(prefix string, e Entry) member {
	m := member{path: prefix + e.Path, dir: e.Dir, exec: e.Executable, mtime: seconds(e.ModTime),
		size: e.Size}
	if e.Dir {
		m.size = 0
	}
	return m
}

// content copies one file into the archive and hashes it. It reads into the archive's own buffer.
func (s *sealer) content(e Entry) error {
	src, err := e.Open()
	if err != nil {
		return err
	}
	defer src.Close() // only read from
	left, err := s.edges.skipContent(src, e.Size)
	if err != nil {
		return err
	}
	for left > 0 {
		if err := s.cross(); err != nil {
			return err
		}
		if int64(s.plain.Available()) < min(left, 4<<10) {
			if err := s.plain.Flush(); err != nil {
				return err
			}
		}
		free := s.plain.AvailableBuffer()
		n, err := src.Read(free[:min(int64(cap(free)), left, s.edges.left())])
		s.tally.content.Write(free[:n])
		if _, err := s.plain.Write(free[:n]); err != nil {
			return err
		}
		s.edges.pos += int64(n)
		left -= int64(n)
		if err == io.EOF && left > 0 {
			return fmt.Errorf("%w: it has %d bytes instead of %d", ErrSourceChanged, e.Size-left,
				e.Size)
		}
		if err != nil && err != io.EOF {
			return err
		}
	}
	return atEnd(src)
}

// atEnd checks that a source is at its end.
func atEnd(src io.Reader) error {
	var more [1]byte
	n, err := io.ReadFull(src, more[:])
	if n > 0 {
		return fmt.Errorf("%w: it has grown", ErrSourceChanged)
	}
	if err != io.EOF {
		return err
	}
	return nil
}

func hashOf(data []byte) id.Hash {
	sum := sha256.Sum256(data)
	return id.Hash(hex.EncodeToString(sum[:]))
}
