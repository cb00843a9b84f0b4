package arch

import (
	"bytes"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// rules are the rules of docs/STYLE.md that a machine can count, in the order of the report.
var rules = []string{"what", "says", "nobody", "doc-name", "doc-length", "columns", "bool",
	"adverb"}

// clauses are the rules for the text of every comment.
var clauses = map[string]*regexp.Regexp{
	"what": regexp.MustCompile(`(?i)\b(what|who)\b|\b(that|those) which\b`),
	"says": regexp.MustCompile(`(?i)\b(says?|tells?)\s+(whether|what|which|who|how|where|when|` +
		`why)\b`),
	"nobody": regexp.MustCompile(`(?i)\b(no|some|any|every)(body| ?one)\b|\b(people|persons?)\b`),
}

// allowedUses are the few uses of those words that name a thing.
var allowedUses = regexp.MustCompile(`(?i)\bwhat\s+to\b|\b(no|any|every|some) one\s+\w`)

// lineStart is the start of a further line of a comment: a clause may run over it.
var lineStart = regexp.MustCompile(`\n\s*//`)

// blank returns spaces in place of a text, so that positions stay.
func blank(text []byte) []byte { return bytes.Repeat([]byte(" "), len(text)) }

// adverbs are adjectives, adverbs and pronouns that name no thing.
var adverbs = strings.Fields(`
	afresh again alive alone anyone apart aside away behind beside between early elsewhere
	fresh given goOn gone here lasting late lately mine nobody ours paced patient quick quiet
	slow slower slowest somebody soon still stuck theirs there together unsure untimely what
	where which whose`)

const (
	maxColumns = 100
	maxWords   = 20
	tabColumns = 4
)

// finding is one place that breaks a rule.
type finding struct {
	rule string
	line int
	text string
}

// inspect returns the findings of one file of Go code.
func inspect(t *testing.T, name string, source []byte) (found []finding) {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, source, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	add := func(rule string, pos token.Pos, text string) {
		found = append(found, finding{rule, set.Position(pos).Line, text})
	}
	for i, line := range strings.Split(string(source), "\n") {
		if columns(line) > maxColumns && !strings.HasPrefix(line, "//go:") {
			found = append(found, finding{"columns", i + 1, strings.TrimSpace(line)})
		}
	}
	for _, group := range file.Comments {
		from := set.Position(group.Pos()).Offset
		text := source[from:set.Position(group.End()).Offset]
		text = allowedUses.ReplaceAllFunc(lineStart.ReplaceAllFunc(text, blank), blank)
		for _, rule := range rules {
			clause, ok := clauses[rule]
			if !ok {
				continue
			}
			for _, hit := range clause.FindAllIndex(text, -1) {
				add(rule, set.File(file.Pos()).Pos(from+hit[0]), string(text[hit[0]:hit[1]]))
			}
		}
	}
	inspectDocs(name, file, add)
	ast.Inspect(file, func(n ast.Node) bool {
		inspectNames(n, add)
		return true
	})
	return found
}

func columns(line string) int {
	return utf8.RuneCountInString(line) + strings.Count(line, "\t")*(tabColumns-1)
}

// inspectDocs counts the first sentences of doc comments. A test's may begin as it likes.
func inspectDocs(name string, file *ast.File, add func(rule string, pos token.Pos, text string)) {
	isTest := strings.HasSuffix(name, "_test.go")
	check := func(group *ast.CommentGroup, names ...string) {
		first := new(doc.Package).Synopsis(group.Text())
		words := strings.Fields(first)
		if len(words) == 0 {
			return
		}
		if len(words) > maxWords {
			add("doc-length", group.Pos(), first)
		}
		if len(words) > 1 && slices.Contains([]string{"A", "An", "The", "Package"}, words[0]) {
			words = words[1:]
		}
		if len(names) > 0 && !slices.Contains(names, strings.TrimRight(words[0], ",:")) {
			add("doc-name", group.Pos(), first)
		}
	}
	switch {
	case file.Name.Name == "main": // the doc of a command begins with the name of the program
		check(file.Doc)
	case !isTest:
		check(file.Doc, file.Name.Name)
	}
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if isTest && isTestName(d.Name.Name) {
				check(d.Doc)
			} else {
				check(d.Doc, d.Name.Name)
			}
		case *ast.GenDecl:
			if d.Lparen.IsValid() {
				check(d.Doc)
			}
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					check(either(s.Doc, d.Doc, d.Lparen), s.Name.Name)
				case *ast.ValueSpec:
					check(either(s.Doc, d.Doc, d.Lparen), namesOf(s.Names)...)
				}
			}
		}
	}
}

func isTestName(name string) bool {
	return slices.ContainsFunc([]string{"Test", "Benchmark", "Fuzz", "Example"},
		func(kind string) bool {
			return strings.HasPrefix(name, kind)
		})
}

// either returns the doc of a spec, which stands above the keyword if there are no parentheses.
func either(spec, decl *ast.CommentGroup, paren token.Pos) *ast.CommentGroup {
	if spec == nil && !paren.IsValid() {
		return decl
	}
	return spec
}

func namesOf(idents []*ast.Ident) (names []string) {
	for _, i := range idents {
		names = append(names, i.Name)
	}
	return names
}

// inspectNames counts adverbs that are declared as names, and boolean parameters of declarations.
func inspectNames(n ast.Node, add func(rule string, pos token.Pos, text string)) {
	names := func(idents ...*ast.Ident) {
		for _, i := range idents {
			if slices.Contains(adverbs, i.Name) {
				add("adverb", i.Pos(), i.Name)
			}
		}
	}
	bools := func(f *ast.FuncType) {
		for _, p := range f.Params.List {
			if kind, ok := p.Type.(*ast.Ident); ok && kind.Name == "bool" {
				for range max(1, len(p.Names)) {
					add("bool", p.Pos(), strings.Join(namesOf(p.Names), ", "))
				}
			}
		}
	}
	switch n := n.(type) {
	case *ast.FuncDecl:
		names(n.Name)
		bools(n.Type)
	case *ast.InterfaceType:
		for _, m := range n.Methods.List {
			if f, ok := m.Type.(*ast.FuncType); ok {
				bools(f)
			}
		}
	case *ast.Field:
		names(n.Names...)
	case *ast.ValueSpec:
		names(n.Names...)
	case *ast.TypeSpec:
		names(n.Name)
	case *ast.AssignStmt:
		if n.Tok == token.DEFINE {
			for _, left := range n.Lhs {
				if i, ok := left.(*ast.Ident); ok {
					names(i)
				}
			}
		}
	case *ast.RangeStmt:
		for _, e := range []ast.Expr{n.Key, n.Value} {
			if i, ok := e.(*ast.Ident); ok && n.Tok == token.DEFINE {
				names(i)
			}
		}
	}
}
