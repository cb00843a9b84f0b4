// Package spoken writes fingerprints as words, which two users can compare by voice.
//
// The list is the English one of BIP-0039 (words.txt, MIT licence): 2,048 common words, of which no
// two begin with the same four letters. Six words are the first 66 bits of a fingerprint. They find
// every mistake and every identity that was made at random. They are not enough against an attacker
// with the means to make 2^66 keys, until one has the words of another site: some thousand years of
// a graphics processor. The digits are.
package spoken

import (
	_ "embed"
	"encoding/hex"
	"strings"

	"sealpost/internal/id"
)

// count is the number of words of a fingerprint, and bits those of each word.
const (
	count = 6
	bits  = 11
)

//go:embed words.txt
var text string

var list = strings.Fields(text)

// Words returns the words of a fingerprint. A text that is no fingerprint has none.
func Words(fingerprint id.Hash) string {
	if _, err := id.ParseHash(string(fingerprint)); err != nil {
		return ""
	}
	raw, err := hex.DecodeString(string(fingerprint))
	if err != nil {
		return ""
	}
	words := make([]string, count)
	for i := range words {
		first, skipped := i*bits/8, i*bits%8
		window := uint32(raw[first])<<16 | uint32(raw[first+1])<<8 | uint32(raw[first+2])
		words[i] = list[window>>(24-bits-skipped)&(1<<bits-1)]
	}
	return strings.Join(words, " ")
}
