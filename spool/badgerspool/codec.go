package badgerspool

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"sealpost/internal/id"
)

// errCorrupt reports that a stored record does not decode. It was damaged after the spool was
// opened, or another program wrote it.
var errCorrupt = errors.New("a record of the spool does not decode")

// encoder appends fields to a record. Numbers are varints, strings carry their length.
type encoder []byte

func (e *encoder) uint(v uint64)   { *e = binary.AppendUvarint(*e, v) }
func (e *encoder) int(v int64)     { *e = binary.AppendVarint(*e, v) }
func (e *encoder) raw(b []byte)    { *e = append(*e, b...) }
func (e *encoder) string(s string) { e.uint(uint64(len(s))); *e = append(*e, s...) }

// hash appends a SHA-256 in its 32 bytes, and any other text as it is.
func (e *encoder) hash(h id.Hash) {
	raw, err := hex.DecodeString(string(h))
	if err != nil || len(raw) != 32 || hex.EncodeToString(raw) != string(h) {
		e.uint(0)
		e.string(string(h))
		return
	}
	e.uint(1)
	e.raw(raw)
}

// stamp appends a hub's time, which is cut to milliseconds. The zero time stays zero.
func (e *encoder) stamp(t time.Time) {
	if t.IsZero() {
		e.int(0)
		return
	}
	e.int(t.UnixMilli())
}

// time appends a foreign time, exact to the nanosecond.
func (e *encoder) time(t time.Time) { e.int(t.Unix()); e.uint(uint64(t.Nanosecond())) }

// decoder reads the fields of a record that encoder wrote. After the first error it returns zeros.
type decoder struct {
	data []byte
	bad  bool
}

func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.data)
	return uint64(step(d, int64(v), n))
}

func (d *decoder) int() int64 {
	v, n := binary.Varint(d.data)
	return step(d, v, n)
}

// fixed reads a number in its fixed form of 8 bytes. It returns 0 if there are fewer.
func (d *decoder) fixed() uint64 {
	if len(d.data) < 8 {
		return 0
	}
	return binary.BigEndian.Uint64(d.raw(8))
}

// step ends the read of a number of n bytes, or marks the record as bad.
func step(d *decoder, v int64, n int) int64 {
	if n <= 0 {
		d.bad, d.data = true, nil
		return 0
	}
	d.data = d.data[n:]
	return v
}

// raw returns the next n bytes, which are not copied. A short record is bad and gives zeros.
func (d *decoder) raw(n int) []byte {
	if n < 0 || n > len(d.data) {
		d.bad, d.data = true, nil
		return make([]byte, max(0, min(n, 64)))
	}
	b := d.data[:n]
	d.data = d.data[n:]
	return b
}

func (d *decoder) string() string {
	n := d.uint()
	if n > uint64(len(d.data)) {
		d.bad, d.data = true, nil
		return ""
	}
	return string(d.raw(int(n)))
}

// count reads the length of a list whose elements take at least one byte each.
func (d *decoder) count() int {
	n := d.uint()
	if n > uint64(len(d.data)) {
		d.bad, d.data = true, nil
		return 0
	}
	return int(n)
}

func (d *decoder) stamp() time.Time {
	ms := d.int()
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

func (d *decoder) hash() id.Hash {
	if d.uint() == 0 {
		return id.Hash(d.string())
	}
	return tohex[id.Hash](d.raw(32))
}

func (d *decoder) time() time.Time {
	sec := d.int()
	return time.Unix(sec, int64(d.uint())).UTC()
}

// close checks that the record was read to its end without an error.
func (d *decoder) close(record string) error {
	if d.bad || len(d.data) != 0 {
		return fmt.Errorf("%w: %s", errCorrupt, record)
	}
	return nil
}

// unhex decodes an identity of 32 lower-case digits into its 16 bytes.
func unhex[T ~string](s T) (b [16]byte, ok bool) {
	if _, err := id.Parse128[T](string(s)); err != nil {
		return b, false
	}
	_, err := hex.Decode(b[:], []byte(s))
	return b, err == nil
}

func tohex[T ~string](b []byte) T { return T(hex.EncodeToString(b)) }
