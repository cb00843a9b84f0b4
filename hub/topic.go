package hub

import (
	"regexp"
	"strings"

	"sealpost/internal/id"
	"sealpost/internal/reason"
)

var patternWord = regexp.MustCompile(`^([a-z0-9_-]+|\*|#)$`)

// validPattern checks a binding: a routing key in which whole words may be * or #.
func validPattern(pattern string) error {
	if len(pattern) > 255 {
		return reason.Err("pattern-invalid", "pattern", pattern[:60]+"…", "cause", id.ErrInvalid)
	}
	for word := range strings.SplitSeq(pattern, ".") {
		if !patternWord.MatchString(word) {
			return reason.Err("pattern-invalid", "pattern", pattern, "cause", id.ErrInvalid)
		}
	}
	return nil
}

// match reports whether a routing key matches a pattern of AMQP 0-9-1. * stands for exactly one
// word, # for any number of words, or none. Both arguments are valid, so no word is empty and ""
// means the end.
//
// Backtracking to the last # is enough: it can take any word that an earlier one would take.
func match(pattern, key string) bool {
	var retryPattern, retryKey string
	sawHash := false
	for key != "" {
		word, patternRest, _ := strings.Cut(pattern, ".")
		if word == "#" {
			sawHash, retryPattern, retryKey = true, patternRest, key
			pattern = patternRest
			continue
		}
		keyWord, keyRest, _ := strings.Cut(key, ".")
		if word == "*" || pattern != "" && word == keyWord {
			pattern, key = patternRest, keyRest
			continue
		}
		if !sawHash {
			return false
		}
		_, retryKey, _ = strings.Cut(retryKey, ".")
		pattern, key = retryPattern, retryKey
	}
	return strings.Trim(pattern, "#.") == "" // each word left is #
}

// matchAny reports whether a routing key matches one of the patterns.
func matchAny(patterns []string, key string) bool {
	for _, p := range patterns {
		if match(p, key) {
			return true
		}
	}
	return false
}
