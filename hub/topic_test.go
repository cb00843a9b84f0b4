package hub

import (
	"strings"
	"testing"

	"sealpost/internal/id"
)

func TestMatch(t *testing.T) {
	for _, tc := range []struct {
		pattern, key string
		want         bool
	}{
		{"fl-lab.dat", "fl-lab.dat", true},
		{"fl-lab.dat", "fl-lab.rpt", false},
		{"fl-lab.dat", "fl-lab", false},
		{"fl-lab", "fl-lab.dat", false},
		{"fl-lab.*", "fl-lab.dat", true},
		{"fl-lab.*", "fl-lab", false},
		{"fl-lab.*", "fl-lab.dat.raw", false},
		{"*", "fl-lab", true},
		{"*", "fl-lab.dat", false},
		{"*.*", "fl-lab.dat", true},
		{"#", "fl-lab", true},
		{"#", "fl-lab.dat.raw", true},
		{"fl-lab.#", "fl-lab", true},
		{"fl-lab.#", "fl-lab.dat.raw", true},
		{"fl-lab.#", "fl-lab2.dat", false},
		{"#.dat", "dat", true},
		{"#.dat", "a.b.dat", true},
		{"#.dat", "a.dat.b", false},
		{"a.#.b", "a.b", true},
		{"a.#.b", "a.b.b", true},
		{"a.#.b", "a.b.c", false},
		{"a.#.b.#.c", "a.b.x.b.c", true},
		{"#.#", "a", true},
		{"#.*", "a", true},
		{"*.#", "a", true},
		{"#.*.#", "a.b.c", true},
		{"*.#.*", "a", false},
	} {
		if got := match(tc.pattern, tc.key); got != tc.want {
			t.Errorf("match(%q, %q) = %v, want %v", tc.pattern, tc.key, got, tc.want)
		}
	}
}

func TestValidPattern(t *testing.T) {
	for _, good := range []string{"#", "*", "fl-lab.*", "a.#.b", "x_1", strings.Repeat("a", 255)} {
		if err := validPattern(good); err != nil {
			t.Errorf("validPattern(%q): %v", good, err)
		}
	}
	for _, bad := range []string{"", ".", "a.", ".a", "a..b", "A", "a*", "#a", "a b", "ä", "a\n",
		strings.Repeat("a", 256)} {
		if validPattern(bad) == nil {
			t.Errorf("validPattern(%q) accepts it", bad)
		}
	}
}

// FuzzMatch holds match against AMQP's definition, written down plainly.
func FuzzMatch(f *testing.F) {
	f.Add("a.#.b", "a.b.b")
	f.Add("#.*.#", "a")
	f.Add("*.#.a.#", "a.a.b.a")
	f.Add("#.a.*.a.#", "a.a.a.b.a")
	f.Fuzz(func(t *testing.T, pattern, key string) {
		if validPattern(pattern) != nil || id.ValidRoutingKey(key) != nil ||
			strings.Count(key, ".") > 12 || strings.Count(pattern, "#") > 5 {
			t.Skip()
		}
		if got, want := match(pattern, key),
			matches(strings.Split(pattern, "."), strings.Split(key, ".")); got != want {
			t.Errorf("match(%q, %q) = %v, the definition says %v", pattern, key, got, want)
		}
	})
}

func matches(pattern, key []string) bool {
	switch {
	case len(pattern) == 0:
		return len(key) == 0
	case pattern[0] == "#":
		return matches(pattern[1:], key) || len(key) > 0 && matches(pattern, key[1:])
	default:
		return len(key) > 0 && (pattern[0] == "*" || pattern[0] == key[0]) &&
			matches(pattern[1:], key[1:])
	}
}

// Every pattern of up to four words against every key of up to five, over a complete alphabet.
func TestMatchIsTheDefinition(t *testing.T) {
	var patterns, keys []string
	all([]string{"a", "b", "*", "#"}, 4, func(s string) { patterns = append(patterns, s) })
	all([]string{"a", "b"}, 5, func(s string) { keys = append(keys, s) })
	for _, pattern := range patterns {
		for _, key := range keys {
			if got, want := match(pattern, key),
				matches(strings.Split(pattern, "."), strings.Split(key, ".")); got != want {
				t.Errorf("match(%q, %q) = %v, the definition says %v", pattern, key, got, want)
			}
		}
	}
}

// all calls f for every sequence of 1 to most words.
func all(words []string, most int, f func(string)) {
	for _, w := range words {
		f(w)
		if most > 1 {
			all(words, most-1, func(rest string) { f(w + "." + rest) })
		}
	}
}
