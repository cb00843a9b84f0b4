// Package visible escapes text from outside, such as file names and a hub's answers, for its users.
// Its author can then neither move the cursor of a terminal, nor add lines, nor hide or reorder
// characters.
//
// Text in any script stays as it is, with combining marks and emoji. Each of these becomes \uXXXX,
// as JSON writes it: control characters (C0, DEL, C1), line and paragraph separators, bidirectional
// controls, and characters that are invisible. A byte that is not UTF-8 becomes \xXX.
package visible

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	maxText  = 4096 // bytes of one escaped text
	maxMarks = 8    // marks on one letter: more of them would cover the lines above
)

// Text returns a text on one line. Two texts of up to 4096 bytes never give the same: backslashes
// before an escape, or before characters that look like one, are doubled.
func Text(s string) string { return limit(escape(s, text)) }

// Quote returns a text as Text does, in quotation marks. Those in it have a backslash.
func Quote(s string) string { return `"` + limit(escape(s, quoted)) + `"` }

// Line returns a text on one line, in which backslashes stay. It is for the texts of errors, which
// hold names in any form.
func Line(s string) string { return limit(escape(s, line)) }

// Lines returns a text with its line ends and tabs. It is the last step before an output, whose
// arguments Text, Quote or Line has escaped; escapes stay as they are, and JSON stays equal.
func Lines(s string) string { return escape(s, lines) }

// Writer escapes an output by Lines. Each call of Write has whole characters.
type Writer struct{ out io.Writer }

// NewWriter returns the writer of an output.
func NewWriter(out io.Writer) *Writer { return &Writer{out} }

func (w *Writer) Write(p []byte) (int, error) {
	if _, err := io.WriteString(w.out, Lines(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Unwrap returns the output, for the control sequences of a program's own.
func (w *Writer) Unwrap() io.Writer { return w.out }

// form is a kind of escaped text.
type form int

const (
	text form = iota
	quoted
	line
	lines
)

// escape returns s in a form.
func escape(s string, f form) string {
	if isPlain(s, f) {
		return s
	}
	var b strings.Builder
	previous, marks, backslashes := rune(-1), 0, 0
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		whole, rest := s[i:i+size], s[i+size:]
		if isMark(r) {
			marks++
		} else {
			marks = 0
		}
		shown := whole
		switch {
		case r == utf8.RuneError && size == 1:
			shown = fmt.Sprintf(`\x%02x`, whole[0])
		case f == lines && isLayout(r, rest):
		case r < 0x20, r >= 0x7f && r < 0xa0, marks > maxMarks, IsUnseen(previous, r, rest):
			shown = units(r)
		case f == quoted && r == '"':
			shown = `\"`
		}
		if (f == text || f == quoted) && (shown != whole || looksEscaped(s[i:])) {
			b.WriteString(strings.Repeat(`\`, backslashes)) // an even number of them stays literal
		}
		if backslashes++; r != '\\' {
			backslashes = 0
		}
		b.WriteString(shown)
		previous, i = r, i+size
	}
	if f == quoted {
		b.WriteString(strings.Repeat(`\`, backslashes)) // before the last quotation mark
	}
	return b.String()
}

// isPlain reports whether a text stays as it is, by a quick look: it is printable ASCII.
func isPlain(s string, f form) bool {
	for i := range len(s) {
		c := s[i]
		isBreak := f == lines && (c == '\n' || c == '\t')
		isMarked := c == '\\' && f != line && f != lines || c == '"' && f == quoted
		if c < 0x20 && !isBreak || c >= 0x7f || isMarked {
			return false
		}
	}
	return true
}

// isLayout reports whether a character arranges lines: a line feed, a carriage return before one,
// or a tab.
func isLayout(r rune, rest string) bool {
	return r == '\n' || r == '\t' || r == '\r' && strings.HasPrefix(rest, "\n")
}

// looksEscaped reports whether a text begins like an escape behind its backslash.
func looksEscaped(s string) bool {
	switch {
	case strings.HasPrefix(s, "x"):
		return isHex(s[1:], 2)
	case strings.HasPrefix(s, "u"):
		return isHex(s[1:], 4)
	}
	return false
}

func isHex(s string, n int) bool {
	return len(s) >= n && strings.Trim(s[:n], "0123456789abcdefABCDEF") == ""
}

// units returns the escape of a character: one UTF-16 code unit, or two.
func units(r rune) string {
	if high, low := utf16.EncodeRune(r); high != utf8.RuneError {
		return fmt.Sprintf(`\u%04x\u%04x`, high, low)
	}
	return fmt.Sprintf(`\u%04x`, r)
}

// limit cuts a text that is too long, and says so.
func limit(s string) string {
	if len(s) <= maxText {
		return s
	}
	cut := maxText
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return fmt.Sprintf("%s… (%d bytes)", s[:cut], len(s))
}
