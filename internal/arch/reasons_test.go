package arch

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"sealpost/internal/reason"
)

// composedCodes matches the codes that programs compose, for situations and refusals.
var composedCodes = regexp.MustCompile(
	`^([a-z-]+\.(label|what|safe|received|next|ask)|refused\.[a-z-]+)$`)

// argument matches the arguments of a template.
var argument = regexp.MustCompile(`\{([a-z]+)[:?}]`)

// call is a call of reason.New or reason.Err with literal arguments.
type call struct {
	at, code string
	args     []string
}

// TestReasonsHaveTemplates compares every reason in the code with the templates of each language.
func TestReasonsHaveTemplates(t *testing.T) {
	calls, faults := reasonsOf(t, "../..")
	english, german := reason.Templates(reason.English), reason.Templates(reason.German)
	for _, f := range append(faults, againstTemplates(calls, english, german)...) {
		t.Error(f)
	}
	if len(calls) == 0 {
		t.Error("no calls were found")
	}
}

// againstTemplates lists calls and templates that do not fit.
func againstTemplates(calls []call, english, german map[reason.Code]string) (faults []string) {
	say := func(format string, args ...any) {
		faults = append(faults, fmt.Sprintf(format, args...))
	}
	used := map[reason.Code]bool{"text": true, "verdict": true, "wrapped": true,
		"several": true, "because": true}
	for _, c := range calls {
		code := reason.Code(c.code)
		used[code] = true
		template, ok := english[code]
		if !ok {
			say("%s: the code %q has no template", c.at, c.code)
			continue
		}
		got, want := slices.Sorted(slices.Values(c.args)), arguments(template)
		if !slices.Equal(got, want) {
			say("%s: %q is called with %v, and its template has %v", c.at, code, got, want)
		}
	}
	for _, code := range slices.Sorted(maps.Keys(english)) {
		other, ok := german[code]
		switch {
		case !used[code] && !composedCodes.MatchString(string(code)):
			say("no code uses the template %q", code)
		case !ok:
			say("%q has no German template", code)
		case !slices.Equal(arguments(english[code]), arguments(other)):
			say("the templates of %q differ in their arguments: %v and %v", code,
				arguments(english[code]), arguments(other))
		}
	}
	for _, code := range slices.Sorted(maps.Keys(german)) {
		if _, ok := english[code]; !ok {
			say("%q has a German template only", code)
		}
	}
	return faults
}

// arguments lists the arguments of a template.
func arguments(template string) (names []string) {
	for _, m := range argument.FindAllStringSubmatch(template, -1) {
		names = append(names, m[1])
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// reasonsOf finds the calls in a tree, and faults of calls that cannot be compared.
func reasonsOf(t *testing.T, root string) (calls []call, faults []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		name, _ := filepath.Rel(root, path)
		name = filepath.ToSlash(name)
		if err != nil || e.IsDir() || !strings.HasSuffix(name, ".go") ||
			strings.HasSuffix(name, "_test.go") {
			return err
		}
		more, wrong := callsOf(t, name, path, nil)
		calls, faults = append(calls, more...), append(faults, wrong...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return calls, faults
}

// callsOf finds the calls in a file, or in its text.
func callsOf(t *testing.T, name, path string, text any) (calls []call, faults []string) {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, text, 0)
	if err != nil {
		t.Fatal(err)
	}
	own := file.Name.Name == "reason"
	ast.Inspect(file, func(n ast.Node) bool {
		c, ok := n.(*ast.CallExpr)
		if !ok || own || !isReason(c.Fun) {
			return true
		}
		at := fmt.Sprintf("%s:%d", name, set.Position(c.Pos()).Line)
		one := call{at: at}
		for i, arg := range c.Args {
			if i > 0 && i%2 == 0 {
				continue
			}
			word, ok := literal(arg)
			if !ok || c.Ellipsis.IsValid() {
				faults = append(faults, at+": a code and the names of arguments must be literals")
				return true
			}
			if i == 0 {
				one.code = word
			} else {
				one.args = append(one.args, word)
			}
		}
		if len(c.Args)%2 == 0 {
			faults = append(faults, at+": an argument lacks its value")
		}
		calls = append(calls, one)
		return true
	})
	return calls, faults
}

// isReason reports whether a function is reason.New or reason.Err.
func isReason(fun ast.Expr) bool {
	s, ok := fun.(*ast.SelectorExpr)
	if !ok || s.Sel.Name != "New" && s.Sel.Name != "Err" {
		return false
	}
	pkg, ok := s.X.(*ast.Ident)
	return ok && pkg.Name == "reason"
}

// codes are the constants of the package reason, for codes that programs compare.
var codes = sync.OnceValue(func() map[string]string {
	found := map[string]string{}
	file, err := parser.ParseFile(token.NewFileSet(), "../reason/codes.go", nil, 0)
	if err != nil {
		panic(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok && len(v.Values) == 1 {
			text, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				panic(err)
			}
			found[v.Names[0].Name] = text
		}
		return true
	})
	return found
})

// literal returns a string literal, or the value of a code's constant.
func literal(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return text, err == nil && e.Kind == token.STRING
	case *ast.SelectorExpr:
		code, ok := codes()[e.Sel.Name]
		return code, ok
	}
	return "", false
}

func TestTemplatesAreCompared(t *testing.T) {
	english := map[reason.Code]string{"a": "{x} {y:q}", "b": "b"}
	german := map[reason.Code]string{"a": "{y} {x:und}", "b": "b"}
	for text, want := range map[string]int{
		`reason.New("a", "x", 1, "y", 2), reason.Err("b")`:           0,
		`reason.New("a", "x", 1), reason.New("b")`:                   1,
		`reason.New("c"), reason.New("a", "y", 1, "x", 2)`:           2, // and nothing uses b
		`reason.New("b", "z"), reason.New("a", "y", 1, "x", 2)`:      2,
		`reason.New(code), reason.New("b"), reason.New("a", all...)`: 3,
		`other.New("a", "x", 1, "y", 2), reason.Err("b")`:            1,
	} {
		calls, faults := callsOf(t, "p.go", "p.go", "package p\nvar _ = []any{"+text+"}")
		faults = append(faults, againstTemplates(calls, english, german)...)
		if len(faults) != want {
			t.Errorf("%s: %q, want %d", text, faults, want)
		}
	}
	delete(german, "a")
	german["c"] = ""
	calls, _ := callsOf(t, "p.go", "p.go", `package p
		var _ = []any{reason.New("a", "x", 1, "y", 2), reason.New("b")}`)
	if faults := againstTemplates(calls, english, german); len(faults) != 2 {
		t.Errorf("%q", faults)
	}
}
