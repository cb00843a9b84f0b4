package arch

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// speakers are the files with reasons for the users of a site. Their sentences stand in the
// templates of internal/reason. The ledger is not among them: its long texts are SQL. The commands
// of the hub, the demo and the help of each command have their texts in place.
var speakers = regexp.MustCompile(`^(agent/[^/]+|agent/(doctor|inbox|outbox|report|stranger|` +
	`tray|trust)/[^/]+|certs/(chain|key|profile|verifier)|cli/(agent[^/]*|ask|` +
	`findings|send)|internal/id/[^/]+)\.go$`)

// sentence is the number of words from which on a text is one.
const sentence = 4

// step is an error that names the failed step, to which a caller adds the advice.
var step = regexp.MustCompile(`^[a-z]+( [a-z%']+)*: %w$`)

func TestSentencesAreTemplates(t *testing.T) {
	heard := 0
	err := filepath.WalkDir("../..", func(path string, e fs.DirEntry, err error) error {
		name := filepath.ToSlash(strings.TrimPrefix(filepath.ToSlash(path), "../../"))
		if err != nil || e.IsDir() || strings.HasSuffix(name, "_test.go") ||
			!speakers.MatchString(name) {
			return err
		}
		heard++
		for _, s := range sentences(t, path, nil) {
			t.Errorf("%s:%s: a sentence for users stands in internal/reason", name, s)
		}
		return nil
	})
	if err != nil || heard < 60 {
		t.Fatalf("%d files are looked at, %v", heard, err)
	}
}

// sentences are the texts of a file that read as such.
func sentences(t *testing.T, path string, text any) (found []string) {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, text, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if speaksElsewhere(n) {
			return false
		}
		literal, ok := n.(*ast.BasicLit)
		if !ok || literal.Kind != token.STRING {
			return true
		}
		said, err := strconv.Unquote(literal.Value)
		if err != nil {
			t.Fatal(err)
		}
		if isSentence(said) {
			found = append(found, fmt.Sprintf("%d: %q", set.Position(n.Pos()).Line, said))
		}
		return true
	})
	return found
}

// speaksElsewhere reports whether the texts of a node are no sentences of the program. These are
// tags, imports, logs, and the manual of a command, which is its help and that of its flags.
func speaksElsewhere(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.ImportSpec:
		return true
	case *ast.Field:
		return n.Tag != nil && len(n.Names) > 0
	case *ast.KeyValueExpr:
		key, ok := n.Key.(*ast.Ident)
		return ok && slices.Contains([]string{"Use", "Short", "Long", "Example"}, key.Name)
	case *ast.ValueSpec:
		return len(n.Names) == 1 && strings.HasSuffix(n.Names[0].Name, "Help")
	case *ast.CallExpr:
		if own, ok := n.Fun.(*ast.Ident); ok {
			return strings.HasSuffix(own.Name, "Flag")
		}
		called, ok := n.Fun.(*ast.SelectorExpr)
		return ok && (slices.Contains([]string{"Debug", "Info", "Warn", "Error"},
			called.Sel.Name) || strings.HasSuffix(called.Sel.Name, "Var"))
	}
	return false
}

func isSentence(said string) bool {
	if step.MatchString(said) {
		return false
	}
	count := 0
	for _, word := range strings.Fields(said) {
		if strings.Trim(word, `%0123456789.,:;()"'-+vsqdwn[]`) != "" {
			count++
		}
	}
	return count >= sentence
}

// A rule that cannot be broken is no rule, and one that is broken by everything is none either.
func TestTheRuleHearsSentences(t *testing.T) {
	const head = "package p\n"
	for text, want := range map[string]int{
		`func f() error { return errors.New("this site does not send") }`:                     1,
		`func f() error { return fmt.Errorf("%s is not here: drop it yourself (%w)", a, b) }`: 1,
		`var says = fail(what, "run this as the agent", "%v", err)`:                           1,
		`func f(w io.Writer) { fmt.Fprintf(w, "Next: sealpost agent run --dir %s\n", dir) }`:  1,
		`const text = "the hub has it already"`:                                               1,
		`func f() error { return fmt.Errorf("remove the sealed file of %s: %w", a, b) }`:      0,
		`func f() { log.Warn("an attempt is counted that was none", "error", err) }`:          0,
		`var c = cobra.Command{Short: "Take back a message before anything of it is sent"}`:   0,
		`func f() { flags.StringVar(&to, "to", "", "the site to send it to") }`:               0,
		"type t struct { a int `json:\"a b c d e f\"` }":                                      0,
		`const joinHelp = "Join a network with the invitation that headquarters gave to this ` +
			`site"`: 0,
		`func f() { fmt.Fprintf(w, "%-13s %s: %s (%s) %d%%\n", a, b, c, d, e) }`: 0,
		`func f() { table("MESSAGE", "KEY VERSION") }`:                           0,
	} {
		if got := sentences(t, "p.go", head+text); len(got) != want {
			t.Errorf("%s: heard %q, want %d", text, got, want)
		}
	}
}
