package visible_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"pgregory.net/rapid"

	"sealpost/internal/testkit"
	"sealpost/internal/visible"
)

func TestText(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"plain", `results (2).csv`, `results (2).csv`},
		{"empty", "", ""},
		{"colour", "\x1b[31mred", `\u001b[31mred`},
		{"link", "\x1b]8;;http://x\x07y", `\u001b]8;;http://x\u0007y`},
		{"clipboard", "\x1b]52;c;aGk=\x1b\\", `\u001b]52;c;aGk=\u001b\`},
		{"lines", "a\r\nb\tc", `a\u000d\u000ab\u0009c`},
		{"delete", "a\x7f", `a\u007f`},
		{"c1", "\u009b31m", `\u009b31m`},
		{"c1 as a byte", "\x9b31m", `\x9b31m`},
		{"override", "gpj\u202eexe", `gpj\u202eexe`},
		{"isolate", "\u2066a\u2069\u200e\u200f\u061c", `\u2066a\u2069\u200e\u200f\u061c`},
		{"zero width", "a\u200bb\u2060c\ufeff\u00ad", `a\u200bb\u2060c\ufeff\u00ad`},
		{"separators", "a\u2028b\u2029", `a\u2028b\u2029`},
		{"tags", "a\U000e0041", `a\udb40\udc41`},
		{"fillers", "\u3164\uffa0\u115f\u2800", `\u3164\uffa0\u115f\u2800`},
		{"invalid", "a\xff\xc3", `a\xff\xc3`},
		{"surrogate", "\xed\xa0\x80", `\xed\xa0\x80`},
		{"too many marks", "o" + strings.Repeat("\u0301", 10),
			"o" + strings.Repeat("\u0301", 8) + `\u0301\u0301`},

		{"accents", "Ergebnis Zürich, Ångström", "Ergebnis Zürich, Ångström"},
		{"combining", "e\u0301a\u0308", "e\u0301a\u0308"},
		{"right to left", "תוצאות نتائج", "תוצאות نتائج"},
		{"other scripts", "结果 результаты परिणाम ผลลัพธ์", "结果 результаты परिणाम ผลลัพธ์"},
		{"emoji", "👩‍🔬 ❤️ 🇨🇭 👍🏽", "👩‍🔬 ❤️ 🇨🇭 👍🏽"},
		{"spaces", "a\u00a0b\u3000c", "a\u00a0b\u3000c"},

		{"windows", `C:\users\new`, `C:\users\new`},
		{"share", `\\server\share`, `\\server\share`},
		{"literal escape", `a\u202eb`, `a\\u202eb`},
		{"literal byte", `a\x1b`, `a\\x1b`},
		{"literal backslash before", "a\\\u202e", `a\\\u202e`},
		{"not an escape", `C:\udata\xylo`, `C:\udata\xylo`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := visible.Text(c.in); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{
		`a`: `"a"`, `a" and "b`: `"a\" and \"b"`, `C:\lab\`: `"C:\lab\\"`, `a\"`: `"a\\\""`,
		"a\n": `"a\u000a"`, `C:\lab\x.csv`: `"C:\lab\x.csv"`, ``: `""`,
	} {
		if got := visible.Quote(in); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}

func TestLinesKeepTheirEnds(t *testing.T) {
	in, want := "a\tb\r\nc\n\rd\x1b\\u202e", "a\tb\r\nc\n\\u000dd\\u001b\\u202e"
	if got := visible.Lines(in); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := visible.Line("a\nb\\u202e"); got != `a\u000ab\u202e` {
		t.Errorf("got %q", got)
	}
}

func TestLongTextIsCut(t *testing.T) {
	got := visible.Text(strings.Repeat("é", 1<<20))
	if len(got) > 4200 || !strings.HasSuffix(got, "… (2097152 bytes)") || !utf8.ValidString(got) {
		t.Errorf("got %d bytes: %.20s…%.30s", len(got), got, got[len(got)-30:])
	}
	if in := strings.Repeat("x", 4096); visible.Text(in) != in {
		t.Error("a path of the longest length is cut")
	}
}

// anyText draws texts that are full of escapes, controls and backslashes.
func anyText() *rapid.Generator[string] {
	pieces := append(testkit.EvilTexts(), `\`, `\\`, `u202e`, `x1b`, `"`, "\u202e", "\xff", "a",
		"\U000e0041", "\ud7ff", `\ud83d\ude00`, "👩‍🔬", "\u0301")
	return rapid.Custom(func(t *rapid.T) string {
		parts := rapid.SliceOfN(rapid.OneOf(rapid.SampledFrom(pieces), rapid.String()), 0, 8)
		return strings.Join(parts.Draw(t, "parts"), "")
	})
}

func TestEscapedTextIsHarmless(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := anyText().Draw(t, "text")
		for _, got := range []string{visible.Text(in), visible.Quote(in), visible.Line(in)} {
			testkit.Harmless(t, got)
			if strings.ContainsAny(got, "\r\n\t") {
				t.Fatalf("%q has several lines", got)
			}
			if twice := visible.Lines(got); twice != got {
				t.Fatalf("%q becomes %q", got, twice)
			}
		}
		testkit.Harmless(t, visible.Lines(in))
	})
}

func TestEscapedTextIsUnambiguous(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := anyText().Draw(t, "text")
		if len(visible.Text(in)) > 4096 {
			return
		}
		if back := unescape(visible.Text(in), ""); back != in {
			t.Fatalf("%q became %q", in, back)
		}
		quoted := visible.Quote(in)
		if back := unescape(quoted[1:len(quoted)-1], `"`); back != in {
			t.Fatalf("%q in quotation marks became %q", in, back)
		}
	})
}

// unescape reverses Text, or Quote without its marks; mark is that of Quote, or empty.
func unescape(s, mark string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		n := len(s[i:]) - len(strings.TrimLeft(s[i:], `\`))
		rest := s[i+n:]
		size := escapeSize(rest)
		isMark := mark != "" && strings.HasPrefix(rest, mark)
		isEnd := mark != "" && rest == "" && n > 0
		switch {
		case n == 0:
			b.WriteByte(s[i])
			i++
		case size == 0 && !isMark && !isEnd:
			b.WriteString(s[i : i+n])
			i += n
		default:
			b.WriteString(strings.Repeat(`\`, n/2))
			i += n
			if n%2 == 0 {
				continue
			}
			if isMark {
				b.WriteByte('"')
				i++
				continue
			}
			i += size
			code, _ := strconv.ParseUint(rest[1:size], 16, 16)
			if rest[0] == 'x' {
				b.WriteByte(byte(code))
				continue
			}
			r := rune(code)
			if utf16.IsSurrogate(r) {
				low, _ := strconv.ParseUint(s[i+2:i+6], 16, 16)
				r, i = utf16.DecodeRune(r, rune(low)), i+6
			}
			b.WriteRune(r)
		}
	}
	return b.String()
}

func escapeSize(s string) int {
	for prefix, size := range map[string]int{"x": 3, "u": 5} {
		if strings.HasPrefix(s, prefix) && len(s) >= size &&
			strings.Trim(s[1:size], "0123456789abcdefABCDEF") == "" {
			return size
		}
	}
	return 0
}

// JSON that goes through a writer has the same value.
func TestJSONStaysExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := strings.ToValidUTF8(anyText().Draw(t, "text"), "")
		encoded, err := json.MarshalIndent(map[string]string{"text": in}, "", "\t")
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		n, err := visible.NewWriter(&b).Write(encoded)
		if n != len(encoded) || err != nil {
			t.Fatal(n, err)
		}
		testkit.Harmless(t, b.String())
		var back map[string]string
		if err := json.Unmarshal([]byte(b.String()), &back); err != nil || back["text"] != in {
			t.Fatalf("%q became %q, %v", in, back["text"], err)
		}
	})
}

func FuzzText(f *testing.F) {
	for _, s := range testkit.EvilTexts() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		testkit.Harmless(t, visible.Text(in))
		testkit.Harmless(t, visible.Lines(in))
		if got := visible.Text(in); len(got) <= 4096 && unescape(got, "") != in {
			t.Fatalf("%q became %q", in, got)
		}
	})
}

func BenchmarkText(b *testing.B) {
	for b.Loop() {
		visible.Text("results of 2026-11-30 (final).csv")
	}
}
