package envelope

import (
	"encoding"
	"fmt"
	"hash"
	"io"
	"math"
)

// Checkpoint is an edge between two segments, from which the sealing can go on. It holds the states
// of the hashes there. The zero Checkpoint is the start.
type Checkpoint struct {
	At        int64  `json:"at"` // bytes of the archive before it
	Content   []byte `json:"content,omitempty"`
	Entries   []byte `json:"entries,omitempty"`
	Signature string `json:"signature,omitempty"` // if the edge is in it: no two are equal
}

// edges is the place of a sealer in the archive. It stops at the edges of segments, and skips the
// bytes before a checkpoint. The zero value does neither.
type edges struct {
	pos      int64 // bytes of the archive before the next one
	capacity int64 // plaintext of a segment; 0: no edge matters
	next     int64 // edge
	from     Checkpoint
	restored bool
	signed   string // the signature, once it is made
	crossed  func(Checkpoint)
}

// left returns the bytes until the next edge.
func (e *edges) left() int64 {
	if e.capacity == 0 {
		return math.MaxInt64
	}
	return e.next - e.pos
}

// skips reports whether a member ends before the checkpoint, and skips it then.
func (e *edges) skips(m member) bool {
	end := e.pos + memberSize(m)
	if end > e.from.At {
		return false
	}
	e.pos = end
	return true
}

// restore sets the hashes to their states at the checkpoint, before the first member behind it.
func (e *edges) restore(t *tally) error {
	if e.from.At == 0 || e.restored {
		return nil
	}
	e.restored = true
	for _, h := range []struct {
		hash  hash.Hash
		state []byte
	}{{t.content, e.from.Content}, {t.entries, e.from.Entries}} {
		if err := h.hash.(encoding.BinaryUnmarshaler).UnmarshalBinary(h.state); err != nil {
			return fmt.Errorf("go on at %d: %w", e.from.At, err)
		}
	}
	return nil
}

// skipContent moves a source to the checkpoint. It returns the number of bytes behind it.
func (e *edges) skipContent(src io.Reader, size int64) (left int64, err error) {
	skip := min(size, max(0, e.from.At-e.pos))
	if skip == 0 {
		return size, nil
	}
	if s, ok := src.(io.Seeker); ok {
		_, err = s.Seek(skip, io.SeekStart)
	} else {
		_, err = io.CopyN(io.Discard, src, skip)
	}
	e.pos += skip
	return size - skip, err
}

// cross passes the edge of a segment, if the next byte is behind it.
func (s *sealer) cross() error {
	e := &s.edges
	if e.left() > 0 {
		return nil
	}
	if err := s.plain.Flush(); err != nil {
		return err
	}
	c := Checkpoint{At: e.pos, Signature: e.signed}
	var err error
	if c.Content, err = s.tally.content.(encoding.BinaryMarshaler).MarshalBinary(); err != nil {
		return err
	}
	if c.Entries, err = s.tally.entries.(encoding.BinaryMarshaler).MarshalBinary(); err != nil {
		return err
	}
	e.next += e.capacity
	e.crossed(c)
	return nil
}

// write writes to the archive, without the bytes before the checkpoint.
func (s *sealer) write(b []byte) error {
	if skip := min(int64(len(b)), max(0, s.edges.from.At-s.edges.pos)); skip > 0 {
		s.edges.pos += skip
		b = b[skip:]
	}
	for len(b) > 0 {
		if err := s.cross(); err != nil {
			return err
		}
		n := int(min(int64(len(b)), s.edges.left()))
		if _, err := s.plain.Write(b[:n]); err != nil {
			return err
		}
		s.edges.pos += int64(n)
		b = b[n:]
	}
	return nil
}
