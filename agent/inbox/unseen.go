package inbox

import (
	"unicode"
	"unicode/utf8"
)

const (
	joiner       = 0x200d // makes one emoji of several
	textStyle    = 0xfe0e // variation selectors 15 and 16: a symbol as text, or as an emoji
	emojiStyle   = 0xfe0f
	brailleBlank = 0x2800 // a symbol of no dots
)

// isUnseen reports whether a character cannot be seen in a name, or changes the order in which others are: two names that
// look the same could be different, and an extension could stand elsewhere.
//
// It is one of Unicode's property Default_Ignorable_Code_Point (UAX #44), which also covers those that are reserved for later;
// or a format character (Cf) without a sign of its own: bidirectional controls, soft hyphens, zero widths, tags, byte
// order marks, annotations; or a separator of lines or paragraphs. Emoji are spelled with some of them, on each telephone:
// between two symbols a joiner stays, and behind one a variation selector 15 or 16.
func isUnseen(previous, r rune, rest string) bool {
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
	return unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector, unicode.Zl, unicode.Zp) ||
		unicode.Is(unicode.Cf, r) && !unicode.Is(unicode.Prepended_Concatenation_Mark, r) && !isHieroglyphic(r)
}

// isSymbol reports whether an emoji may be made of a character: pictures, arrows and shades of skin.
func isSymbol(r rune) bool {
	return r != brailleBlank && r != utf8.RuneError && unicode.Is(unicode.So, r) || r >= 0x2190 && unicode.Is(unicode.Sm, r) || r >= 0x1f000 && unicode.Is(unicode.Sk, r)
}

// isHieroglyphic reports whether a format character arranges Egyptian hieroglyphs, which can be seen.
func isHieroglyphic(r rune) bool { return r >= 0x13430 && r <= 0x13440 }
