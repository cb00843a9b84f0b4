package visible

import (
	"unicode"
	"unicode/utf8"
)

const (
	joiner       = 0x200d // joins emoji into one
	textStyle    = 0xfe0e // variation selectors 15 and 16: a symbol as text, or as an emoji
	emojiStyle   = 0xfe0f
	brailleBlank = 0x2800 // a symbol without dots
)

// IsUnseen reports whether a character is invisible in a name or changes the order of others.
// Otherwise two different names could look the same, and an extension could appear elsewhere.
//
// Such a character has Unicode's property Default_Ignorable_Code_Point (UAX #44), which includes
// code points reserved for later; or is a format character (Cf) without its own sign: bidirectional
// controls, soft hyphens, zero widths, tags, byte order marks, annotations; or a separator of lines
// or paragraphs. Emoji contain some of them, so a joiner stays between two symbols, and a variation
// selector 15 or 16 after one.
func IsUnseen(previous, r rune, rest string) bool {
	switch {
	case r < 0xa0:
		return false
	case r == joiner:
		next, _ := utf8.DecodeRuneInString(rest)
		return !isSymbol(next) || !isSymbol(previous) && previous != emojiStyle
	case r == textStyle, r == emojiStyle:
		return !isSymbol(previous)
	case r == brailleBlank:
		return true
	}
	return unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector,
		unicode.Zl, unicode.Zp) ||
		unicode.Is(unicode.Cf, r) && !unicode.Is(unicode.Prepended_Concatenation_Mark, r) &&
			!isHieroglyphic(r)
}

// isSymbol reports whether a character may be part of an emoji: pictures, arrows and skin tones.
// Of the mathematical symbols, simple arrows and the emoji of emoji-data.txt (UTS #51) count.
func isSymbol(r rune) bool {
	switch {
	case r == brailleBlank, r == utf8.RuneError:
		return false
	case r >= 0x2190 && r <= 0x21ff, r >= 0x25fb && r <= 0x25fe, r == 0x2934, r == 0x2935,
		r >= 0x1f3fb && r <= 0x1f3ff:
		return true
	}
	return unicode.Is(unicode.So, r)
}

// isHieroglyphic reports whether a format character arranges Egyptian hieroglyphs, which are
// visible.
func isHieroglyphic(r rune) bool { return r >= 0x13430 && r <= 0x13440 }

// isMark reports whether a character stands on the one before it.
func isMark(r rune) bool { return r >= 0x300 && unicode.In(r, unicode.Mn, unicode.Me) }
