// Package shell writes commands as a shell reads them, for an admin to copy. It runs none.
package shell

import (
	"strconv"
	"strings"
	"unicode"

	"sealpost/internal/visible"
)

// Join returns a program and its arguments as one line of sh.
func Join(words ...string) string {
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = Quote(word)
	}
	return strings.Join(quoted, " ")
}

// Quote returns a word in quotation marks if a shell would change it.
func Quote(word string) string {
	switch {
	case strings.ContainsFunc(word, isUnsafe), visible.Line(word) != word:
		// Control characters of terminals: in the quoting of bash and zsh.
		ascii := strconv.QuoteToASCII(word)
		return "$'" + strings.ReplaceAll(ascii[1:len(ascii)-1], "'", `\'`) + "'"
	case word == "" || strings.ContainsAny(word, " \t\"'\\$`*?[]{}()<>|&;~#!"):
		return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	return word
}

func isUnsafe(r rune) bool { return r == unicode.ReplacementChar || !unicode.IsPrint(r) }
