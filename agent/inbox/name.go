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
//   - control characters, those that cannot be seen (unseen.go) and < > : " / \ | ? * become %XX, byte by byte;
//   - so does a last dot or space, which Windows drops, and the first letter of a device name such as CON or com1.txt;
//   - so does what makes a program act upon a name (acting.go): the first character, or the dot before an extension;
//   - so does a % that two hexadecimal digits follow, so that nothing decodes to another name;
//   - a name of more than 255 bytes then keeps its beginning and its extension, with ~ and the first 16 digits of the
//     SHA-256 of the whole name between them.
//
// Of names in one folder that many disks take for one all but the first get another one: see twin.go.
func PortableName(name string) string { return naming{}.portable(name, inFolder) }

// naming is the rule as it is configured.
type naming struct {
	keepHidden bool // a leading dot stays
}

// kind is the place of a name.
type kind int

const (
	inFolder  kind = iota // in a folder that was received
	asTwin                // the same, beside another one that many disks would take for it
	asMessage             // of the message itself, in the folder of its sender
)

// portable makes the portable name. Of that of a twin more becomes %XX: each capital of A to Z, each character beyond ASCII,
// and the first character that otherwise would have stayed as it is. So it is none of those that it would be taken for, and
// decodes to the name as any portable name does.
func (n naming) portable(name string, k kind) string {
	var b strings.Builder
	isTold := k != asTwin // a character is escaped that otherwise would stay
	isFirstEscaped := isDevice(name) || n.isActing(name, k)
	dot := actingDot(name)
	previous := rune(-1)
	for i, size := 0, 0; i < len(name); i += size {
		var r rune
		r, size = utf8.DecodeRuneInString(name[i:])
		rest := name[i+size:]
		switch {
		case r == utf8.RuneError && size == 1: // not UTF-8
			escape(&b, name[i:i+1])
		case isUnsafe(r), isUnseen(previous, r, rest), r == '%' && isEscape(name[i:]), i == 0 && isFirstEscaped, i == dot,
			rest == "" && (r == '.' || r == ' '):
			escape(&b, name[i:i+size])
		case !isTold, k == asTwin && (r >= 'A' && r <= 'Z' || r >= 0x80):
			escape(&b, name[i:i+size])
			isTold = true
		default:
			b.WriteRune(r)
		}
		previous = r
	}
	return fit(b.String(), "", name)
}

// alternative is the name when the first one is taken: <stem> (<message id>)<extension>, and from the second attempt on
// with a number.
func (n naming) alternative(name, id string, attempt int) string {
	tag := " (" + id + ")"
	if attempt > 1 {
		tag += fmt.Sprintf(" (%d)", attempt)
	}
	return fit(n.portable(name, asMessage), tag, name)
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

// isUnsafe reports whether a character is a control character, or one that Windows cannot store.
func isUnsafe(r rune) bool {
	return r < 0x20 || r >= 0x7f && r < 0xa0 || strings.ContainsRune(`<>:"/\|?*`, r)
}

func isEscape(s string) bool {
	return len(s) >= 3 && isHexDigit(s[1]) && isHexDigit(s[2])
}

func isHexDigit(c byte) bool {
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')
}

// isDevice reports whether Windows would take the name for a device, with any extension and trailing spaces.
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
