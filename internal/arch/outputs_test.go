package arch

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// ownOutputs are the files that escape arguments themselves, or write control sequences of the
// program.
var ownOutputs = []string{"cli/output.go", "cli/printer.go", "cli/bar.go"}

// wholeTexts are the texts that are written as they are: a script, and a signed export.
var wholeTexts = []string{"bashAlone", "out.Text"}

// Text from outside reaches a user by package visible only. Main wraps both outputs, nothing else
// knows them, and commands write arguments by printf, tables and reasons.
func TestOutputsEscapeTextFromOutside(t *testing.T) {
	seen := 0
	for _, file := range productFiles(t) {
		seen++
		for _, fault := range rawOutputs(t, file.name, file.tree) {
			t.Error(fault)
		}
	}
	if seen < 100 {
		t.Errorf("only %d files were found", seen)
	}
}

func TestRawOutputsAreFound(t *testing.T) {
	for code, want := range map[string]int{
		`fmt.Println(name)`:                             1,
		`log.Printf("%s", name)`:                        1,
		`println(name)`:                                 1,
		`os.Stdout.WriteString(name)`:                   1,
		`fmt.Fprintf(w, "%s\n", name)`:                  1,
		`fmt.Fprintln(w, "a", name)`:                    1,
		`fmt.Fprint(w, "a" + name)`:                     1,
		`io.WriteString(w, name)`:                       1,
		`slog.New(slog.NewTextHandler(os.Stderr, nil))`: 1,
		`gate.Unwrap()`:                                 1,
		`fmt.Fprintln(w, "a" + "b"); printf(w, "%s", name); w.Write(data); errors.Unwrap(err)`: 0,
	} {
		tree, err := parser.ParseFile(token.NewFileSet(), "x.go",
			"package cli\nfunc f() { "+code+" }", 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := rawOutputs(t, "cli/x.go", tree); len(got) != want {
			t.Errorf("%s: got %q", code, got)
		}
	}
}

// productFile is a file of the programs that users run.
type productFile struct {
	name string
	tree *ast.File
}

// productFiles parses the files of main.go, cli, agent, hub and internal, but not those for tests.
func productFiles(t *testing.T) (list []productFile) {
	t.Helper()
	err := filepath.WalkDir("../..", func(path string, e fs.DirEntry, err error) error {
		name, _ := filepath.Rel("../..", path)
		name = filepath.ToSlash(name)
		room, _, _ := strings.Cut(name, "/")
		isOurs := slices.Contains([]string{".", "main.go", "cli", "agent", "hub", "internal",
			"certs", "config", "spool", "envelope", "statement"}, room)
		switch {
		case err != nil:
			return err
		case e.IsDir() && (!isOurs || isTestOnly(name) || name == "cli/demo"):
			return filepath.SkipDir
		case e.IsDir() || !isOurs || !strings.HasSuffix(name, ".go") ||
			strings.HasSuffix(name, "_test.go"):
			return nil
		}
		tree, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		list = append(list, productFile{name, tree})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// rawOutputs lists the places where a file could write unescaped text to a user.
func rawOutputs(t *testing.T, name string, tree *ast.File) (faults []string) {
	t.Helper()
	say := func(e ast.Expr) {
		faults = append(faults, fmt.Sprintf("%s: %s writes past package visible", name,
			types.ExprString(e)))
	}
	isCommand := strings.HasPrefix(name, "cli/") && !slices.Contains(ownOutputs, name)
	ast.Inspect(tree, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && name != "main.go" {
			if text := types.ExprString(s); text == "os.Stdout" || text == "os.Stderr" {
				say(s)
			}
		}
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		switch text := types.ExprString(call.Fun); {
		case text == "println", text == "print", strings.HasPrefix(text, "fmt.Print"),
			strings.HasPrefix(text, "log.Print"), strings.HasPrefix(text, "log.Fatal"):
			say(call)
		case isCommand && (strings.HasPrefix(text, "fmt.Fprint") || text == "io.WriteString"):
			if slices.ContainsFunc(call.Args[1:], func(a ast.Expr) bool { return !isOwnText(a) }) {
				say(call)
			}
		case isCommand && strings.HasSuffix(text, ".Unwrap") && text != "errors.Unwrap" &&
			name != "cli/watch.go":
			say(call)
		}
		return true
	})
	return faults
}

// isOwnText reports whether an expression is a text of the program: a literal, or several.
func isOwnText(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.BasicLit:
		return true
	case *ast.BinaryExpr:
		return isOwnText(e.X) && isOwnText(e.Y)
	}
	return slices.Contains(wholeTexts, types.ExprString(e))
}
