package envelope

import (
	"bytes"
	"cmp"
	"fmt"

	"filippo.io/age"

	"sealpost/certs"
	"sealpost/internal/id"
	"sealpost/statement"
)

// SegmentParts is the number of parts in each segment but the last.
const SegmentParts = segmentSize / partSize

// Parts takes the ciphertext of a large envelope, part by part and in order. An error ends the
// sealing.
type Parts interface {
	// Next returns an empty buffer with space for a part. It may wait.
	Next() ([]byte, error)
	// Full takes a filled buffer, which no longer belongs to the sealing.
	Full(part int, content []byte, sum uint32) error
	// Crossed takes the checkpoint behind a segment. Its last parts may come later.
	Crossed(Checkpoint)
}

// Plan is a request whose size is known, and nothing is encrypted yet.
type Plan struct {
	Size int64 // bytes of the ciphertext

	req    SealRequest
	signer *certs.Identity
	keys   []age.Recipient
	head   []byte
	header int64 // bytes of an age file before its first chunk, the nonce included
}

// NewPlan computes the size of the ciphertext of one message. It reads the entries and no content.
func NewPlan(req SealRequest, signer *certs.Identity) (*Plan, error) {
	p, err := plan(req, signer)
	if err != nil {
		return nil, fmt.Errorf("seal %s: %w", req.Envelope, err)
	}
	return p, nil
}

func plan(req SealRequest, signer *certs.Identity) (*Plan, error) {
	if len(req.Messages) != 1 || signer.Site() != req.Sender {
		return nil, fmt.Errorf("%d messages of %s, and the identity is of %s", len(req.Messages),
			req.Sender, signer.Site())
	}
	p := &Plan{req: req, signer: signer.Fixed()} // a renewal would change the size
	var recipients []HeadRecipient
	var err error
	if p.keys, recipients, err = wrapFor(req.Recipients); err != nil {
		return nil, err
	}
	if p.head, err = req.head(recipients).Format(); err != nil {
		return nil, err
	}
	var header bytes.Buffer
	if _, err := age.Encrypt(&header, p.keys...); err != nil {
		return nil, err
	}
	p.header = int64(header.Len())
	// All statements of an envelope have the same length.
	hash := hashOf(p.head)
	jws, err := statement.Sign(signer, statement.EnvelopeSignature{V: formatVersion, Head: hash,
		Body: hash})
	if err != nil {
		return nil, err
	}
	plain := memberSize(member{path: headPath, size: int64(len(p.head))}) +
		memberSize(member{path: signaturePath, size: int64(len(jws))}) + int64(len(zeros))
	for e, err := range req.Messages[0].Entries {
		if err != nil {
			return nil, err
		}
		plain += memberSize(memberOf(contentPrefix+"0/", e))
	}
	p.Size = p.cipherSize(plain)
	return p, nil
}

func (p *Plan) segment() int64 { return cmp.Or(p.req.segment, segmentSize) }

// Segments returns the number of segments before a checkpoint of this plan.
func (p *Plan) Segments(at Checkpoint) int {
	return int(at.At / capacity(p.segment()-p.header))
}

// cipherSize returns the size of the ciphertext of an archive.
func (p *Plan) cipherSize(plain int64) int64 {
	each := capacity(p.segment() - p.header)
	whole := (plain - 1) / each
	last := plain - whole*each
	return whole*p.segment() + p.header + last + (last+chunkSize-1)/chunkSize*tagSize
}

// Seal seals the message from a checkpoint on. One goroutine reads and hashes, another encrypts.
// The same content gives the same digest, from any checkpoint of an earlier call. It returns
// ErrSourceChanged if the size is not the planned one.
func (p *Plan) Seal(from Checkpoint, to Parts) (id.Hash, error) {
	digest, err := p.seal(from, to)
	if err != nil {
		return "", fmt.Errorf("seal %s: %w", p.req.Envelope, err)
	}
	return digest, nil
}

func (p *Plan) seal(from Checkpoint, to Parts) (id.Hash, error) {
	s := sealers.Get().(*sealer)
	defer s.release()
	cut := &partBuffer{to: to}
	s.begin(cut, p.keys, p.req)
	each := capacity(p.segment() - p.header)
	s.edges = edges{capacity: each, next: from.At + each, from: from, crossed: to.Crossed}
	s.out.size = from.At / each * p.segment()
	cut.part = int(s.out.size / partSize)
	s.out.full = func() error { return cut.end(s.out.sums[len(s.out.sums)-1]) }
	r := newRelay(func(b []byte) error {
		_, err := s.cut.Write(b)
		return err
	})
	s.plain = r
	digests, err := s.archive(p.head, p.req.Messages, p.signer)
	if err == nil {
		err = r.Flush()
	}
	if ended := r.close(); ended != nil {
		err = ended // the archive fails with it
	}
	if err == nil {
		err = s.cut.Close()
	}
	if err == nil && s.out.size != p.Size {
		err = fmt.Errorf("%w: %d bytes instead of %d", ErrSourceChanged, s.out.size, p.Size)
	}
	if err == nil && s.out.size%partSize != 0 {
		err = s.out.full()
	}
	if err != nil {
		return "", err
	}
	return digests[0], nil
}

// partBuffer fills one part after the other.
type partBuffer struct {
	to   Parts
	part int
	buf  []byte
}

func (p *partBuffer) Write(b []byte) (int, error) {
	if p.buf == nil {
		buf, err := p.to.Next()
		if err != nil {
			return 0, err
		}
		p.buf = buf[:0]
	}
	p.buf = append(p.buf, b...)
	return len(b), nil
}

func (p *partBuffer) end(sum uint32) error {
	full := p.buf
	p.buf = nil
	err := p.to.Full(p.part, full, sum)
	p.part++
	return err
}
