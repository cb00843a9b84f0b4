package envelope

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// maxPAX bounds the PAX records before one member: a path, a size and their keys.
const maxPAX = MaxPath + 64

// errArchive is wrapped by every error about the archive, and by none of the reader below it.
var errArchive = errors.New("the archive is malformed")

// tarReader reads archives in exactly the form of appendHeader: no other types, keys, owners,
// formats or spellings of a header. Its memory is constant.
type tarReader struct {
	r         io.Reader
	limit     int64 // largest size of a member
	left      int64 // bytes of the current body not yet read
	pad       int64 // zeros after it
	raw       []byte
	rewritten []byte
	block     [blockSize]byte
	filler    [blockSize]byte
}

func (t *tarReader) reset(r io.Reader, limit int64) {
	*t = tarReader{r: r, limit: limit, raw: t.raw[:0], rewritten: t.rewritten[:0]}
}

// next reads the header of the next member. The body before it must have been read to its end.
func (t *tarReader) next() (member, error) {
	t.raw = t.raw[:0]
	if err := t.readBlock(); err != nil {
		return member{}, err
	}
	var m member
	var extra pax
	if t.block[156] == typePAX {
		var err error
		if extra, err = t.readPAX(); err != nil {
			return m, err
		}
		if err := t.readBlock(); err != nil {
			return m, err
		}
	}
	if err := m.parse(t.block[:], extra); err != nil {
		return m, err
	}
	if t.rewritten = appendHeader(t.rewritten[:0], m); !bytes.Equal(t.rewritten, t.raw) {
		return m, fmt.Errorf("%w: the header of %.80q is not spelled the one way", errArchive,
			m.path)
	}
	if m.size > t.limit {
		return m, fmt.Errorf("%w: %.80q would be larger than its envelope", errArchive, m.path)
	}
	t.left, t.pad = m.size, padding(m.size)
	return m, nil
}

func (t *tarReader) readBlock() error {
	if err := t.full(t.block[:]); err != nil {
		return err
	}
	t.raw = append(t.raw, t.block[:]...)
	return nil
}

// full reads all of p. An early end of the plaintext is the archive's fault; age's error for a cut
// ciphertext, io.ErrUnexpectedEOF, is not.
func (t *tarReader) full(p []byte) error {
	for len(p) > 0 {
		n, err := t.r.Read(p)
		p = p[n:]
		if err == io.EOF && len(p) > 0 {
			return fmt.Errorf("%w: it ends too early", errArchive)
		}
		if err != nil && err != io.EOF && err != errEdge {
			return err
		}
	}
	return nil
}

// pax holds the records of a PAX header.
type pax struct {
	path    string
	size    int64
	hasPath bool
	hasSize bool
}

func (t *tarReader) readPAX() (pax, error) {
	size, ok := octal(t.block[124:136])
	if !ok || size == 0 || size > maxPAX {
		return pax{}, fmt.Errorf("%w: a PAX header of a wrong size", errArchive)
	}
	start := len(t.raw)
	t.raw = append(t.raw, make([]byte, size+padding(size))...)
	if err := t.full(t.raw[start:]); err != nil {
		return pax{}, err
	}
	return parsePAX(string(t.raw[start : start+int(size)]))
}

func parsePAX(records string) (pax, error) {
	var p pax
	for records != "" {
		digits, _, _ := strings.Cut(records, " ")
		length, err := strconv.Atoi(digits)
		if err != nil || length <= len(digits)+1 || length > len(records) {
			return p, fmt.Errorf("%w: a malformed PAX record", errArchive)
		}
		key, value, _ := strings.Cut(records[len(digits)+1:length], "=")
		records = records[length:]
		value = strings.TrimSuffix(value, "\n")
		switch key {
		case "path":
			p.path, p.hasPath = value, true
		case "size":
			if p.size, err = strconv.ParseInt(value, 10, 64); err != nil {
				return p, fmt.Errorf("%w: a malformed PAX size", errArchive)
			}
			p.hasSize = true
		default:
			return p, fmt.Errorf("%w: the PAX key %.40q", errArchive, key)
		}
	}
	return p, nil
}

// parse reads the variable fields of a header block. The caller compares the rest.
func (m *member) parse(block []byte, extra pax) error {
	switch block[156] {
	case typeFile:
	case typeDir:
		m.dir = true
	default:
		return fmt.Errorf("%w: a member of type %q", errArchive, block[156])
	}
	m.path, m.size = extra.path, extra.size
	if !extra.hasPath {
		m.path = text(block[:nameSize])
		if prefix := text(block[345 : 345+prefixSize]); prefix != "" {
			m.path = prefix + "/" + m.path
		}
	}
	mode, ok := octal(block[100:108])
	m.exec = mode == 0o755 && !m.dir
	var okTime, okSize bool
	m.mtime, okTime = octal(block[136:148])
	size, okSize := octal(block[124:136])
	if !ok || !okTime || !okSize {
		return fmt.Errorf("%w: a number in the header of %.80q", errArchive, m.path)
	}
	if !extra.hasSize {
		m.size = size
	}
	if m.size < 0 || m.dir && m.size != 0 {
		return fmt.Errorf("%w: the size of %.80q", errArchive, m.path)
	}
	return nil
}

// text reads a field that ends with a NUL, or with the field.
func text(field []byte) string {
	before, _, _ := bytes.Cut(field, []byte{0})
	return string(before)
}

// octal reads a field of octal digits that ends with a NUL.
func octal(field []byte) (int64, bool) {
	last := len(field) - 1
	n := int64(0)
	for _, c := range field[:last] {
		if c < '0' || c > '7' {
			return 0, false
		}
		n = n<<3 | int64(c-'0')
	}
	return n, field[last] == 0
}

// Read reads the current member's body, and checks the zeros behind it. It passes on errEdge.
func (t *tarReader) Read(p []byte) (int, error) {
	if t.left == 0 {
		return 0, t.endBody()
	}
	n, err := t.r.Read(p[:min(int64(len(p)), t.left)])
	t.left -= int64(n)
	if err == io.EOF && t.left > 0 {
		return n, fmt.Errorf("%w: it ends too early", errArchive)
	}
	if err == io.EOF {
		err = nil // full reports an early end of the archive
	}
	return n, err
}

func (t *tarReader) endBody() error {
	if err := t.full(t.filler[:t.pad]); err != nil {
		return err
	}
	if !isAllZero(t.filler[:t.pad]) {
		return fmt.Errorf("%w: a body is not followed by zeros", errArchive)
	}
	t.pad = 0
	return io.EOF
}

// end checks that exactly the zeros of an archive's end follow, and then the end of the plaintext.
func (t *tarReader) end() error {
	tail := t.block[:]
	for range endSize / blockSize {
		if err := t.full(tail); err != nil {
			return err
		}
		if !isAllZero(tail) {
			return fmt.Errorf("%w: members or bytes after the signature", errArchive)
		}
	}
	n, err := io.ReadFull(t.r, tail[:1])
	if n > 0 {
		return fmt.Errorf("%w: bytes after its end", errArchive)
	}
	if err != io.EOF {
		return err
	}
	return nil
}

func isAllZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
