package inbox

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestPortableName(t *testing.T) {
	long := strings.Repeat("x", 300)
	for name, want := range map[string]string{
		"data.csv":                 "data.csv",
		"with space.txt":           "with space.txt",
		".hidden":                  ".hidden",
		"emoji 🧬.txt":              "emoji 🧬.txt",
		"it's 100% sure":           "it's 100% sure",
		"100%25":                   "100%2525",
		`a "b" <c>|d?*:e\f`:        "a %22b%22 %3Cc%3E%7Cd%3F%2A%3Ae%5Cf",
		"line\nbreak\ttab\x00\x7f": "line%0Abreak%09tab%00%7F",
		"dot.":                     "dot%2E",
		"dots..":                   "dots.%2E",
		"space ":                   "space%20",
		"CON":                      "%43ON",
		"con.txt":                  "%63on.txt",
		"com1.tar.gz":              "%63om1.tar.gz",
		"COM¹":                     "%43OM¹",
		"lpt0":                     "%6Cpt0",
		"aux .x":                   "%61ux .x",
		"CONIN$":                   "%43ONIN$",
		"console":                  "console",
		"COM10":                    "COM10",
		"gpj.\u202eexe":            "gpj.%E2%80%AEexe",
		"a\u2028b":                 "a%E2%80%A8b",
		"a\u0085b":                 "a%C2%85b",
		long + ".csv":              "",
	} {
		got := PortableName(name)
		if want != "" && got != want {
			t.Errorf("%q becomes %q, want %q", name, got, want)
		}
		if len(got) > maxName {
			t.Errorf("%q becomes %d bytes", name, len(got))
		}
	}
	if got := PortableName(long + ".csv"); !strings.HasSuffix(got, ".csv") || !strings.Contains(got, "~") || len(got) != maxName {
		t.Errorf("a long name becomes %q", got)
	}
}

// names are what FORMAT.md lets through: UTF-8 without slash or NUL, not empty, not a dot or two.
func names() *rapid.Generator[string] {
	return rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-z%0-9. ]{1,8}`), rapid.SampledFrom([]string{"con", "COM1.x", "%41", "%%41", "x%4", "a.", "a "})).
		Filter(func(s string) bool {
			return s != "" && s != "." && s != ".." && utf8.ValidString(s) && !strings.ContainsAny(s, "/\x00")
		})
}

func TestEveryNameIsUsableAndDecodesToWhatItWas(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		name := names().Draw(t, "name")
		got := PortableName(name)
		if strings.ContainsAny(got, "<>:\"/\\|?*\x00\n") || strings.HasSuffix(got, ".") || strings.HasSuffix(got, " ") || isDevice(got) {
			t.Fatalf("%q becomes %q", name, got)
		}
		if PortableName(got) != got && !strings.Contains(got, "%") {
			t.Fatalf("%q becomes %q, which is not stable", name, got)
		}
		if len(got) < maxName-30 && decode(got) != name {
			t.Fatalf("%q becomes %q, which decodes to %q", name, got, decode(got))
		}
		path := filepath.Join(dir, got)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	})
}

// decode reverses PortableName, by the rule in its comment and not by its code.
func decode(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			const digits = "0123456789ABCDEF"
			high, low := strings.IndexByte(digits, s[i+1]), strings.IndexByte(digits, s[i+2])
			if high >= 0 && low >= 0 {
				b.WriteByte(byte(high<<4 | low))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func TestAlternativesAreDifferentAndFit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := names().Draw(t, "name") + strings.Repeat("ü", rapid.IntRange(0, 150).Draw(t, "more"))
		seen := map[string]bool{PortableName(name): true}
		for attempt := range 4 {
			got := alternative(name, "FL-LAB_DAT_20251008_001", attempt+1)
			if seen[got] || len(got) > maxName || !utf8.ValidString(got) || !strings.Contains(got, "(FL-LAB_DAT_20251008_001)") {
				t.Fatalf("attempt %d of %q is %q", attempt+1, name, got)
			}
			seen[got] = true
		}
	})
	if got := alternative("data.tar.gz", "FL-LAB_DAT_20251008_001", 1); got != "data.tar (FL-LAB_DAT_20251008_001).gz" {
		t.Errorf("got %q", got)
	}
	if got := alternative(".bashrc", "M", 2); got != ".bashrc (M) (2)" {
		t.Errorf("got %q", got)
	}
}
