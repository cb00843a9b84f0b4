package envelope

import (
	"path"
	"strconv"
	"strings"
)

// blockSize is tar's unit: a header is one block, and zeros fill a body up to whole blocks.
const blockSize = 512

// The fields of a header for a path: its end, and for a longer path the folders before it.
const (
	nameSize   = 100
	prefixSize = 155
)

// maxOctal is the first number above tar's eleven octal digits: a size of 8 GiB, the year 2242.
const maxOctal = 1 << 33

// endSize is the length of the zeros that end an archive.
const endSize = 2 * blockSize

// The types of members. 'x' is the PAX header before a member whose path or size does not fit its
// header.
const (
	typeFile = '0'
	typeDir  = '5'
	typePAX  = 'x'
)

var zeros [endSize]byte

// member holds the variable fields of one member of the archive.
type member struct {
	path  string // in the archive: message.json, content/0/data.csv
	dir   bool
	exec  bool  // mode 0755 instead of 0644; folders always have it
	mtime int64 // seconds, 0 <= mtime < maxOctal
	size  int64 // bytes; 0 for folders
}

func (m member) mode() int64 {
	if m.dir || m.exec {
		return 0o755
	}
	return 0o644
}

// appendHeader appends the only header that the format allows for m. It is one block, with a PAX
// header before it if the path or size does not fit. The bytes equal those of Go's archive/tar;
// they are written here so that they never change.
func appendHeader(b []byte, m member) []byte {
	if prefix, name, ok := splitPath(m); ok {
		return appendBlock(b, m, prefix, name)
	}
	if records := paxRecords(m); records != "" {
		dir, file := path.Split(m.path)
		name := asciiOnly(path.Join(dir, "PaxHeaders.0", file))
		name = strings.TrimRight(name[:min(len(name), nameSize)], "/")
		b = appendPAXBlock(b, name, int64(len(records)))
		b = append(b, records...)
		b = append(b, zeros[:padding(int64(len(records)))]...)
	}
	return appendBlock(b, m, "", asciiOnly(m.path))
}

// splitPath divides an ASCII path between the block's two fields, at the last slash that fits the
// first.
func splitPath(m member) (prefix, name string, ok bool) {
	if len(m.path) <= nameSize || !isASCII(m.path) || m.size >= maxOctal {
		return "", "", false
	}
	i := strings.LastIndexByte(m.path[:min(len(m.path), prefixSize+1)], '/')
	if i <= 0 || len(m.path)-i-1 > nameSize {
		return "", "", false
	}
	return m.path[:i], m.path[i+1:], true
}

func appendBlock(b []byte, m member, prefix, name string) []byte {
	b, block := grow(b)
	copy(block[:nameSize], name)
	if len(name) > nameSize && name[nameSize-1] == '/' { // a cut path must not end with a slash
		block[len(strings.TrimRight(name[:nameSize-1], "/"))] = 0
	}
	putOctal(block[100:108], m.mode())
	putOctal(block[108:116], 0) // owner
	putOctal(block[116:124], 0) // group
	putOctal(block[124:136], m.size)
	putOctal(block[136:148], m.mtime)
	block[156] = typeFile
	if m.dir {
		block[156] = typeDir
	}
	putOctal(block[329:337], 0) // device numbers
	putOctal(block[337:345], 0)
	copy(block[345:345+prefixSize], prefix)
	finish(block)
	return b
}

func appendPAXBlock(b []byte, name string, size int64) []byte {
	b, block := grow(b)
	copy(block[:nameSize], name)
	putOctal(block[100:108], 0)
	putOctal(block[108:116], 0)
	putOctal(block[116:124], 0)
	putOctal(block[124:136], size)
	putOctal(block[136:148], 0)
	block[156] = typePAX
	finish(block)
	return b
}

// grow appends a block of zeros and returns it beside the whole.
func grow(b []byte) (whole, block []byte) {
	b = append(b, zeros[:blockSize]...)
	return b, b[len(b)-blockSize:]
}

// finish writes the magic and the checksum.
func finish(block []byte) {
	copy(block[257:], "ustar\x0000")
	copy(block[148:156], "        ") // counted as spaces
	sum := int64(0)
	for _, c := range block {
		sum += int64(c)
	}
	putOctal(block[148:155], sum)
}

// putOctal fills the field with octal digits and a NUL. A number that does not fit becomes zero,
// and a PAX record holds it.
func putOctal(field []byte, n int64) {
	last := len(field) - 1
	field[last] = 0
	if n>>(3*last) != 0 {
		n = 0
	}
	for i := last - 1; i >= 0; i-- {
		field[i] = '0' + byte(n&7)
		n >>= 3
	}
}

// paxRecords returns the records that m needs, in the order of their keys.
func paxRecords(m member) string {
	var records string
	if len(m.path) > nameSize || !isASCII(m.path) {
		records += paxRecord("path", m.path)
	}
	if m.size >= maxOctal {
		records += paxRecord("size", strconv.FormatInt(m.size, 10))
	}
	return records
}

// paxRecord returns "LENGTH KEY=VALUE\n"; the length counts its own digits.
func paxRecord(key, value string) string {
	rest := " " + key + "=" + value + "\n"
	length := len(rest)
	for length != len(rest)+len(strconv.Itoa(length)) {
		length = len(rest) + len(strconv.Itoa(length))
	}
	return strconv.Itoa(length) + rest
}

// padding returns the zeros needed to fill a body of n bytes up to whole blocks.
func padding(n int64) int64 {
	return -n & (blockSize - 1)
}

// memberSize returns the bytes of a member with its headers.
func memberSize(m member) int64 {
	return int64(len(appendHeader(nil, m))) + m.size + padding(m.size)
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

func asciiOnly(s string) string {
	if isASCII(s) {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := range len(s) {
		if s[i] < 0x80 {
			b = append(b, s[i])
		}
	}
	return string(b)
}
