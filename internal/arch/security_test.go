package arch

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Each promise of docs/SECURITY.md names its tests.
func TestEveryPromiseHasItsTests(t *testing.T) {
	text, err := os.ReadFile("../../docs/SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	promises := regexp.MustCompile(`(?m)^\*\*\d+\. `).FindAllStringIndex(string(text), -1)
	if len(promises) < 10 {
		t.Fatalf("only %d promises found", len(promises))
	}
	for i, at := range promises {
		end := strings.Index(string(text), "\n## The cryptography")
		if i+1 < len(promises) {
			end = promises[i+1][0]
		}
		if promise := string(text)[at[0]:end]; !strings.Contains(promise, "`Test") {
			t.Errorf("this promise names no test: %.60s…", promise)
		}
	}
}

// Each attack in the table of docs/SECURITY.md names its tests.
func TestEveryAttackHasItsTests(t *testing.T) {
	text, err := os.ReadFile("../../docs/SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "| actor | attack | is stopped by | test |\n")
	table, _, _ = strings.Cut(table, "\n\n")
	rows := strings.Split(table, "\n")[1:] // without the line below the head
	if len(rows) < 20 {
		t.Fatalf("%d attacks are found", len(rows))
	}
	for _, row := range rows {
		cells := strings.Split(strings.Trim(row, "| "), " | ")
		if len(cells) < 3 || !strings.HasPrefix(cells[len(cells)-1], "`Test") {
			t.Errorf("this attack names no test: %s", row)
		}
	}
}

// Every test that a document names exists.
func TestDocumentsNameTestsThatAreThere(t *testing.T) {
	tests := testNames(t)
	for _, doc := range []string{"SECURITY.md", "agent.md", "spool.md"} {
		text, err := os.ReadFile("../../docs/" + doc)
		if err != nil {
			t.Fatal(err)
		}
		name := regexp.MustCompile("`((Test|Fuzz)[A-Za-z0-9]+)[`/]")
		named := name.FindAllStringSubmatch(string(text), -1)
		if len(named) < 10 {
			t.Errorf("docs/%s names %d tests", doc, len(named))
		}
		for _, m := range named {
			if !tests[m[1]] {
				t.Errorf("docs/%s names %s, and there is no such test", doc, m[1])
			}
		}
	}
}

// testNames finds every test and fuzz target of the module.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	pattern := regexp.MustCompile(`(?m)^func ((Test|Fuzz)\w+)\(`)
	err := filepath.WalkDir("../..", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range pattern.FindAllSubmatch(text, -1) {
			names[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
