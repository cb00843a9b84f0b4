package inbox

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"strings"
	"unicode/utf8"
)

// maxName is the longest file name, in bytes of UTF-8, that every file system in use takes.
const maxName = 255

// PortableName maps a name from outside to one that is safe and the same on every system. It is reversible, by decoding
// %XX, unless the name had to be shortened:
//
//   - control and bidirectional characters and < > : " / \ | ? * become %XX, byte by byte;
//   - so does a last dot or space, which Windows drops, and the first letter of a device name such as CON or com1.txt;
//   - so does a % that two hexadecimal digits follow, so that nothing decodes to what it was not;
//   - a name of more than 255 bytes then keeps its beginning and its extension, with ~ and the first 16 digits of the
//     SHA-256 of the whole name between them.
//
// Of names in one folder that many disks take for one all but the first get another one: see twin.go.
func PortableName(name string) string { return portable(name, false) }

// portable makes the portable name, or that of a twin (twin.go), of which more becomes %XX: each capital of A to Z, each
// character beyond ASCII, and the first character that otherwise would have stayed as it is. So it is none of those that it
// would be taken for, and decodes to the name as any portable name does.
func portable(name string, twin bool) string {
	var b strings.Builder
	told := !twin // a character is escaped that otherwise would stay
	for i, size := 0, 0; i < len(name); i += size {
		var r rune
		r, size = utf8.DecodeRuneInString(name[i:])
		switch {
		case r == utf8.RuneError && size == 1: // not UTF-8
			escape(&b, name[i:i+1])
		case unsafeRune(r), r == '%' && isEscape(name[i:]), i == 0 && isDevice(name), i+size == len(name) && (r == '.' || r == ' '):
			escape(&b, name[i:i+size])
		case !told, twin && (r >= 'A' && r <= 'Z' || r >= 0x80):
			escape(&b, name[i:i+size])
			told = true
		default:
			b.WriteRune(r)
		}
	}
	return fit(b.String(), "", name)
}

// alternative is the name when the first one is taken: <stem> (<message id>)<extension>, and from the second attempt on
// with a number.
func alternative(name, message string, attempt int) string {
	tag := " (" + message + ")"
	if attempt > 1 {
		tag += fmt.Sprintf(" (%d)", attempt)
	}
	return fit(PortableName(name), tag, name)
}

// fit puts tag before the extension, and shortens what is too long.
func fit(portable, tag, whole string) string {
	ext := path.Ext(portable)
	if len(ext) > 20 || ext == portable {
		ext = ""
	}
	stem := strings.TrimSuffix(portable, ext)
	if len(stem)+len(tag)+len(ext) <= maxName {
		return stem + tag + ext
	}
	sum := sha256.Sum256([]byte(whole))
	tag = "~" + hex.EncodeToString(sum[:8]) + tag
	return cut(stem, maxName-len(tag)-len(ext)) + tag + ext
}

// cut shortens s to at most n bytes, and splits neither a character nor an escape.
func cut(s string, n int) string {
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	for back := 1; back <= 2 && back <= n; back++ {
		if s[n-back] == '%' && isEscape(s[n-back:]) {
			return s[:n-back]
		}
	}
	return s[:n]
}

func escape(b *strings.Builder, s string) {
	for i := range len(s) {
		fmt.Fprintf(b, "%%%02X", s[i])
	}
}

func unsafeRune(r rune) bool {
	switch {
	case r < 0x20, r >= 0x7f && r < 0xa0: // control
		return true
	case r == 0x061c, r == 0x200e, r == 0x200f, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069: // bidirectional
		return true
	case r == 0x2028, r == 0x2029: // line and paragraph separators
		return true
	}
	return strings.ContainsRune(`<>:"/\|?*`, r)
}

func isEscape(s string) bool {
	return len(s) >= 3 && isHexDigit(s[1]) && isHexDigit(s[2])
}

func isHexDigit(c byte) bool {
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')
}

// isDevice tells whether Windows would take the name for a device, with any extension and trailing spaces.
func isDevice(name string) bool {
	stem, _, _ := strings.Cut(name, ".")
	stem = strings.ToUpper(strings.TrimRight(stem, " "))
	switch stem {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	port, number := strings.CutPrefix(stem, "COM")
	if !number {
		port, number = strings.CutPrefix(stem, "LPT")
	}
	return number && utf8.RuneCountInString(port) == 1 && strings.Contains("0123456789¹²³", port)
}
