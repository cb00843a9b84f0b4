package arch

import (
	"slices"
	"strings"
	"testing"
)

func TestInspectPackageDoc(t *testing.T) {
	for source, want := range map[string]int{
		"// Package p sorts.\npackage p": 0,
		"// Sorts.\npackage p":           1,
		"// Sort sorts.\npackage main":   0,
	} {
		if found := inspect(t, "p.go", []byte(source)); len(found) != want {
			t.Errorf("%q: %v, want %d", source, found, want)
		}
	}
}

// A counter that counts nothing, or everything, would hold no rule.
func TestInspect(t *testing.T) {
	long := strings.Repeat("word ", 25)
	for _, tt := range []struct {
		name, file, source string
		want               string // the rules that are broken, in order of their names
	}{
		{"what-clause", "p.go", "func f() {} // f keeps what is left", "what"},
		{"who", "p.go", "func f() {} // f asks who it was, and who not", "what what"},
		{"that which", "p.go", "func f() {} // f drops those which fail", "what"},
		{"what to", "p.go", "func f() {} // f decides what to do", ""},
		{"whatever", "p.go", "func f() {} // f takes whatever is there, and the whole", ""},
		{"in a string", "p.go", `var s = "what nobody says whether"`, ""},
		{"says whether", "p.go", "func f() {} // it says whether, and tells how", "says says"},
		{"over two lines", "p.go", "// f says\n// whether and what\n// to do.\nfunc f() {}",
			"says"},
		{"reports whether", "p.go", "func f() {} // it reports whether", ""},
		{"nobody", "p.go", "func f() {} // nobody, some one, people and persons",
			"nobody nobody nobody nobody"},
		{"no one of", "p.go", "func f() {} // no one version, a personal key", ""},
		{"name first", "p.go", "// f returns.\nfunc f() {}", ""},
		{"type with article", "p.go", "// A T holds one.\ntype T int", ""},
		{"name missing", "p.go", "// Returns one.\nfunc f() {}", "doc-name"},
		{"method", "p.go", "type T int\n// g returns.\nfunc (T) f() {}", "doc-name"},
		{"two names", "p.go", "// b and a are limits.\nvar a, b int", ""},
		{"group", "p.go", "// The limits.\nvar (\n// a is one.\na int\n// of two\nb int\n)",
			"doc-name"},
		{"field", "p.go", "type T struct {\n// The size.\nn int\n}", ""},
		{"inside a function", "p.go", "func f() {\n// The size.\nn := 1\n_ = n\n}", ""},
		{"helper of a test", "p_test.go", "// Returns one.\nfunc f() {}", "doc-name"},
		{"test", "p_test.go", "// A rule must break.\nfunc TestF() {}", ""},
		{"long test", "p_test.go", "// It\n// " + long + "\nfunc TestF() {}", "columns doc-length"},
		{"long first", "p.go", "// f sorts " + long[:60] + "\n// " + long[:60] + "\nfunc f() {}",
			"doc-length"},
		{"long second", "p.go", "// f sorts. " + long[:60] + "\n// " + long[:60] + "\nfunc f() {}",
			""},
		{"100 columns", "p.go", "// " + strings.Repeat("é", 97), ""},
		{"101 columns", "p.go", "// " + strings.Repeat("é", 98), "columns"},
		{"tab", "p.go", "func f() {\n\t// " + strings.Repeat("x", 94) + "\n}", "columns"},
		{"directive", "p.go", "//go:generate " + strings.Repeat("x", 98), ""},
		{"bool", "p.go", "func f(a, b bool, c int) {}", "bool bool"},
		{"bool of an interface", "p.go", "type T interface { f(bool) }", "bool"},
		{"bool result", "p.go",
			"func f() (ok bool) { return func(a bool) bool { return a }(true) }", ""},
		{"adverb", "p.go",
			"func quick(gone int) { for slow := range 2 { late := slow; _ = late } }",
			"adverb adverb adverb adverb"},
		{"adverb in a type", "p.go", "type T struct { given int }\nvar alive T", "adverb adverb"},
		{"adverb in a name", "p.go", "func quickSort(lateCount int) { late = 1 }\nvar still, _ = " +
			"1, 2", "adverb"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, f := range inspect(t, tt.file, []byte("package p\n"+tt.source)) {
				if f.line < 2 {
					t.Errorf("%v has no line", f)
				}
				got = append(got, f.rule)
			}
			if sorted := strings.Join(slices.Sorted(slices.Values(got)), " "); sorted != tt.want {
				t.Errorf("got %q, want %q", sorted, tt.want)
			}
		})
	}
}

func TestCompare(t *testing.T) {
	const recorded = "[a]\nwhat 2\n\n[gone]\nsays 1\n"
	for _, tt := range []struct {
		name       string
		now        counts
		want       string // the complaints
		afterwards string // the file that -update writes
	}{
		{"equal", counts{"a": {"what": 2}, "gone": {"says": 1}}, "", recorded},
		{"fewer", counts{"a": {"what": 1}, "gone": {"says": 1}}, "a: what 1, recorded 2",
			"[a]\nwhat 1\n\n[gone]\nsays 1\n"},
		{"none", counts{"a": {"what": 2}}, "gone: says 0, recorded 1", "[a]\nwhat 2\n"},
		{"more", counts{"a": {"what": 3}, "gone": {}}, "a: what 3, recorded 2; gone: says 0, " +
			"recorded 1", "[a]\nwhat 2\n"},
		{"new room", counts{"a": {"what": 2}, "b": {"bool": 1}, "gone": {"says": 1}},
			"b: bool 1, recorded 0", recorded},
		{"new rule", counts{"a": {"bool": 1, "what": 2}, "gone": {"says": 1}},
			"a: bool 1, recorded 0", recorded},
	} {
		t.Run(tt.name, func(t *testing.T) {
			old := parseCounts(t, recorded)
			var got []string
			for _, d := range compare(old, tt.now) {
				got = append(got, d.String())
			}
			if joined := strings.Join(got, "; "); joined != tt.want {
				t.Errorf("got %q, want %q", joined, tt.want)
			}
			if file := lower(old, tt.now).String(); file != tt.afterwards {
				t.Errorf("-update writes %q, want %q", file, tt.afterwards)
			}
		})
	}
}
