package testkit

import (
	"slices"
	"unicode/utf8"
)

// EvilTexts returns texts that would act on a terminal, add lines, or hide and reorder characters.
func EvilTexts() []string {
	return []string{
		"a\x1b[2J\x1b[H\x1b[31mpainted\x1b[0m",    // CSI: clears, moves, colours
		"a\x1b]0;title\x07",                       // OSC 0: the title of the window
		"a\x1b]8;;https://evil.example\x1b\\link", // OSC 8: a link
		"a\x1b]52;c;cm0gLXJmIC8=\x07",             // OSC 52: the clipboard
		"a\x1bP+q544e\x1b\\",                      // DCS: a question that the terminal answers
		"a\x1bc",                                  // RIS: resets the terminal
		"a\u009b2J\u009d8;;x\u009c",               // C1, as characters
		"a\x9b2J",                                 // C1, as a byte
		"a\b\b\b\x7f\a\x00\v\f",                   // C0 and DEL
		"a\rOK    hub: all is well",               // over the line's beginning
		"a\nOK    hub: all is well",               // a line of its own
		"a\r\n\r\nDELIVERED\tb",                   // lines and columns
		"a\u2028b\u2029c\u0085d",                  // separators of lines
		"a\u202egpj.exe",                          // right to left
		"a\u2066b\u2067c\u2068d\u2069e\u200ef\u200fg\u061ch\u202ai\u202bj\u202ck\u202d",
		"a\u200bb\u200cc\u200dd\u2060e\ufefff\u00adg", // invisible
		"a\u3164b\u115fc\u2800d\u034fe\ufe01f",        // fillers, blanks, selectors
		"a\U000e0041\U000e0042\U000e007f",             // tags
		"a\xff\xfe\xc3\x28\xed\xa0\x80",               // not UTF-8
	}
}

// evil are the characters that no output may have.
var evil = func() []rune {
	list := []rune{0x061c, 0x200b, 0x200c, 0x200e, 0x200f, 0x2028, 0x2029, 0x2060, 0xfeff, 0xad,
		0x3164, 0x115f, 0x2800, 0x034f, 0xfe01}
	for _, span := range [][2]rune{{0, 8}, {0xb, 0xc}, {0xe, 0x1f}, {0x7f, 0x9f},
		{0x202a, 0x202e}, {0x2066, 0x2069}, {0xe0000, 0xe007f}} {
		for r := span[0]; r <= span[1]; r++ {
			list = append(list, r)
		}
	}
	return list
}()

// Harmless fails the test if an output has characters that act on a terminal or are hidden. Line
// ends and tabs are the program's own.
func Harmless(t interface {
	Helper()
	Fatalf(format string, args ...any)
}, output string) {
	t.Helper()
	if !utf8.ValidString(output) {
		t.Fatalf("not UTF-8: %q", output)
	}
	runes := []rune(output)
	for i, r := range runes {
		if slices.Contains(evil, r) || r == '\r' && (i+1 == len(runes) || runes[i+1] != '\n') {
			t.Fatalf("%U at %d of: %q", r, i, output)
		}
	}
}
