package envelope

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// partWriter counts the written ciphertext and keeps the checksum of each part.
type partWriter struct {
	w    io.Writer
	size int64
	sums []uint32
	full func() error // runs at the end of each whole part; may be nil
}

func (p *partWriter) Write(b []byte) (written int, err error) {
	for written < len(b) && err == nil {
		offset := p.size % partSize
		if offset == 0 || len(p.sums) == 0 {
			p.sums = append(p.sums, 0)
		}
		var n int
		n, err = p.w.Write(b[written:min(int64(len(b)), int64(written)+partSize-offset)])
		last := &p.sums[len(p.sums)-1]
		*last = crc32.Update(*last, castagnoli, b[written:written+n])
		p.size += int64(n)
		written += n
		if err == nil && p.full != nil && p.size%partSize == 0 {
			err = p.full()
		}
	}
	return written, err
}

// Errors of incoming ciphertext. Reading it again may succeed.
var (
	ErrTruncated = errors.New("the ciphertext ended too early")
	ErrOverlong  = errors.New("the ciphertext is longer than announced")
	ErrChecksum  = errors.New("the ciphertext does not match its checksum")
)

// source reads the ciphertext and proves it: exactly the announced size and checksums, and no byte
// more. It keeps its own error, because age and tar would report it as tampering.
type source struct {
	r     io.Reader
	size  int64
	sums  []uint32
	at    int64  // bytes read
	sum   uint32 // of the current part
	ended bool   // the end was seen, and no byte behind it
	err   error
}

func (s *source) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	if s.at == s.size {
		return 0, s.end()
	}
	if len(p) == 0 {
		return 0, nil
	}
	end := min(s.size, s.at-s.at%partSize+partSize)
	n, err := s.r.Read(p[:min(int64(len(p)), end-s.at)])
	s.sum = crc32.Update(s.sum, castagnoli, p[:n])
	s.at += int64(n)
	if s.at == end {
		if part := (end - 1) / partSize; s.sum != s.sums[part] {
			s.err = fmt.Errorf("part %d: %w", part, ErrChecksum)
			return n, s.err
		}
		s.sum = 0
	}
	if err == io.EOF && s.at < s.size {
		s.err = fmt.Errorf("%w: %d of %d bytes", ErrTruncated, s.at, s.size)
	} else if err != nil && err != io.EOF {
		s.err = fmt.Errorf("read the ciphertext: %w", err)
	}
	return n, s.err
}

// end checks that no byte follows the last one.
func (s *source) end() error {
	if s.ended {
		return io.EOF
	}
	var more [1]byte
	n, err := io.ReadFull(s.r, more[:])
	switch {
	case n > 0:
		s.err = ErrOverlong
	case err != io.EOF:
		s.err = fmt.Errorf("read the ciphertext: %w", err)
	default:
		s.ended = true
		return io.EOF
	}
	return s.err
}

// prove reads the rest, and returns nil if all of the ciphertext was read correctly.
func (s *source) prove(buf []byte) error {
	for {
		if _, err := s.Read(buf); err != nil {
			return s.err // nil at the end
		}
	}
}
