package envelope

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"

	"sealpost/statement"
)

// segmentSize is the ciphertext of each segment but the last: a whole number of parts.
const segmentSize = 16 * partSize

const (
	chunkSize = 64 << 10 // bytes of plaintext in one chunk of age's payload
	tagSize   = 16       // behind each chunk
)

// capacity returns the plaintext of a segment with the given space behind its header and nonce. The
// space of no set of recipients ends within the tag of an empty chunk.
func capacity(space int64) int64 {
	whole, rest := space/(chunkSize+tagSize), space%(chunkSize+tagSize)
	return whole*chunkSize + max(0, rest-tagSize)
}

// segmentWriter encrypts the archive as a sequence of age files, each with a file key of its own.
// The next one starts with its first byte, so the last one is never empty.
type segmentWriter struct {
	out       *partWriter
	cipher    *bufio.Writer // before out
	keys      []age.Recipient
	size      int64
	end       int64          // of the current segment, if it is not the last
	left      int64          // plaintext until then
	encrypted io.WriteCloser // nil between two segments
}

func (s *segmentWriter) Write(p []byte) (int, error) {
	written := 0
	for written < len(p) {
		if s.encrypted == nil {
			if err := s.start(); err != nil {
				return written, err
			}
		}
		n, err := s.encrypted.Write(p[written:min(int64(len(p)), int64(written)+s.left)])
		written, s.left = written+n, s.left-int64(n)
		if err != nil {
			return written, err
		}
		if s.left == 0 {
			if err := s.Close(); err != nil {
				return written, err
			}
			if s.out.size != s.end {
				return written, fmt.Errorf("a segment ends at %d instead of %d", s.out.size, s.end)
			}
		}
	}
	return written, nil
}

func (s *segmentWriter) start() error {
	s.end = s.out.size + s.size
	var err error
	if s.encrypted, err = age.Encrypt(s.cipher, s.keys...); err != nil {
		return err
	}
	s.left = capacity(s.end - s.out.size - int64(s.cipher.Buffered()))
	return nil
}

// Close ends the current segment.
func (s *segmentWriter) Close() error {
	if s.encrypted == nil {
		return nil
	}
	if err := s.encrypted.Close(); err != nil {
		return err
	}
	s.encrypted = nil
	return s.cipher.Flush()
}

// segmentReader decrypts the segments of a source, one after the other. Each must be encrypted for
// as many recipients as the first one, open with the same key, and hold plaintext.
type segmentReader struct {
	src      *source
	size     int64
	unwrap   unwrapper // of the first segment
	header   []byte
	plain    io.Reader // of the current segment
	n        int       // counts the segments, from 1
	hasPlain bool
	stops    bool // Read returns errEdge once at each edge
	stopped  bool // at the present one
}

// errEdge means that the next byte is the first one of another segment.
var errEdge = errors.New("edge of a segment")

func (s *segmentReader) Read(p []byte) (int, error) {
	for {
		n, err := s.plain.Read(p)
		s.hasPlain = s.hasPlain || n > 0
		if err != io.EOF {
			return n, err
		}
		if !s.hasPlain && s.n > 1 {
			return 0, flawf(statement.CodeCiphertext, "segment %d is empty", s.n)
		}
		if n > 0 {
			return n, nil
		}
		if s.src.at == s.src.size {
			return 0, io.EOF
		}
		if s.stops && !s.stopped {
			s.stopped = true
			return 0, errEdge
		}
		if err := s.next(); err != nil {
			return 0, err
		}
	}
}

// next opens the next segment.
func (s *segmentReader) next() error {
	u := unwrapper{keys: s.unwrap.keys}
	plain, err := u.decrypt(io.LimitReader(s.src, s.size), s.header)
	if err != nil {
		return err
	}
	if s.n == 0 {
		s.unwrap = u
	} else if u.stanzas != s.unwrap.stanzas || u.key != s.unwrap.key {
		return flawf(statement.CodeMetadataMismatch, "segment %d is encrypted for others than the "+
			"first one", s.n+1)
	}
	s.n, s.plain, s.hasPlain, s.stopped = s.n+1, plain, false, false
	return nil
}
