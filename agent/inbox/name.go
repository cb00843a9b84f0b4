package inbox

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"strings"
	"unicode/utf8"

	"sealpost/internal/visible"
)

// maxName is the longest file name, in bytes of UTF-8, that every common file system accepts.
const maxName = 255

// maxExtension is the longest ending of a name that counts as its extension, in bytes.
const maxExtension = 20

// PortableName maps a name from outside to a safe one, the same on every system. Decoding %XX
// reverses it, unless the name had to be shortened:
//
//   - control characters, invisible ones (see package visible) and < > : " / \ | ? * become %XX,
//     each byte;
//   - so does a last dot or space, which Windows drops, and the first letter of a device name such
//     as CON or com1.txt;
//   - so does the first character, or the dot before the extension, of a name that acts by itself
//     (acting.go);
//   - so does a % before two hexadecimal digits, so that no name decodes to another;
//   - a name of more than 255 bytes then keeps its beginning and its extension, with ~ and the
//     first 16 digits of the SHA-256 of the whole name between them.
//
// On a disk that takes shorter names only, its limit counts instead of 255; on one that refuses
// names beyond ASCII, each byte of such a character becomes %XX too.
//
// Of several names in one folder that many disks treat as one, all but the first get another name:
// see twin.go.
func PortableName(name string) string { return naming{}.portable(name, inFolder) }

// naming is the rule for names, by the configuration and the disk.
type naming struct {
	keepHidden bool // keep a leading dot
	ascii      bool // the disk refuses other characters
	max        int  // bytes of the disk's longest name; 0: maxName
}

// kind is the place of a name.
type kind int

const (
	inFolder  kind = iota // in a received folder
	asTwin                // there, beside a name that many disks treat as the same
	asMessage             // the message itself, in its sender's folder
)

// portable returns the portable name. For a twin it escapes more: each capital A to Z, each
// character beyond ASCII, and the first character that otherwise would stay. So a twin's name
// differs from the names that disks would confuse it with, and decodes like any portable name.
func (n naming) portable(name string, k kind) string {
	var b strings.Builder
	isTwinMarked := k != asTwin // a twin's extra escape is written
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
		case isUnsafe(r), visible.IsUnseen(previous, r, rest), r == '%' && isEscape(name[i:]),
			i == 0 && isFirstEscaped, i == dot, rest == "" && (r == '.' || r == ' '),
			n.ascii && r >= utf8.RuneSelf:
			escape(&b, name[i:i+size])
		case !isTwinMarked, k == asTwin && (r >= 'A' && r <= 'Z' || r >= 0x80):
			escape(&b, name[i:i+size])
			isTwinMarked = true
		default:
			b.WriteRune(r)
		}
		previous = r
	}
	return n.fit(b.String(), "", name)
}

// alternative returns the name to use if the first one is taken. It is
// <stem> (<message id>)<extension>, with a number from the second attempt on.
func (n naming) alternative(name, id string, attempt int) string {
	tag := " (" + id + ")"
	if attempt > 1 {
		tag += fmt.Sprintf(" (%d)", attempt)
	}
	return n.fit(n.portable(name, asMessage), tag, name)
}

// plain returns the name of a message whose own name the disk refuses. It is the id, with the
// extension if that is plain too. The record has the name at the sender.
func plain(name, id string, attempt int) string {
	ext := path.Ext(name)
	if len(ext) > maxExtension || strings.ContainsFunc(ext[min(1, len(ext)):], isNotPlain) ||
		actingDot(name) >= 0 {
		ext = ""
	}
	if attempt > 0 {
		id += fmt.Sprintf(" (%d)", attempt)
	}
	return id + ext
}

// isNotPlain reports whether a character may be one that a disk refuses.
func isNotPlain(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9')
}

// fit puts tag before the extension, and shortens a name that is too long.
func (n naming) fit(portable, tag, whole string) string {
	most := cmp.Or(n.max, maxName)
	ext := path.Ext(portable)
	if len(ext) > maxExtension || ext == portable {
		ext = ""
	}
	stem := strings.TrimSuffix(portable, ext)
	if len(stem)+len(tag)+len(ext) <= most {
		return stem + tag + ext
	}
	sum := sha256.Sum256([]byte(whole))
	tag = "~" + hex.EncodeToString(sum[:8]) + tag
	return cut(stem, max(0, most-len(tag)-len(ext))) + tag + ext
}

// cut shortens s to at most n bytes, without splitting a character or an escape.
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

// escape writes each byte of s as %XX.
func escape(b *strings.Builder, s string) {
	for i := range len(s) {
		fmt.Fprintf(b, "%%%02X", s[i])
	}
}

// isUnsafe reports whether a character is a control character or one that Windows cannot store.
func isUnsafe(r rune) bool {
	return r < 0x20 || r >= 0x7f && r < 0xa0 || strings.ContainsRune(`<>:"/\|?*`, r)
}

func isEscape(s string) bool {
	return len(s) >= 3 && isHexDigit(s[1]) && isHexDigit(s[2])
}

func isHexDigit(c byte) bool {
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')
}

// isDevice reports whether Windows treats the name as a device, with any extension and trailing
// spaces.
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
