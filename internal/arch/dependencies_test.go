package arch

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// Each imported module has its line of reason, and no line remains of a module that is gone.
func TestEveryDependencyHasItsReason(t *testing.T) {
	text, err := os.ReadFile("../../docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	row := regexp.MustCompile("(?m)^\\| `([^`]+)`")
	for _, row := range row.FindAllStringSubmatch(string(text), -1) {
		listed[row[1]] = true
	}
	modules := required(t)
	used := imported(t, modules)
	for m := range used {
		if !listed[m] {
			t.Errorf("docs/dependencies.md has no line for %s", m)
		}
	}
	for m := range listed {
		if !used[m] {
			t.Errorf("docs/dependencies.md has a line for %s, which nothing imports", m)
		}
	}
}

// required lists the modules of go.mod; those of its tools count as used.
func required(t *testing.T) map[string]bool {
	t.Helper()
	edit := exec.Command("go", "mod", "edit", "-json")
	edit.Dir = "../.."
	out, err := edit.Output()
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Require []struct{ Path string }
		Tool    []struct{ Path string }
	}
	if err := json.Unmarshal(out, &file); err != nil {
		t.Fatal(err)
	}
	modules := map[string]bool{}
	for _, r := range file.Require {
		modules[r.Path] = false
	}
	for _, tool := range file.Tool {
		modules[moduleOf(tool.Path, modules)] = true
	}
	return modules
}

// imported tells the modules that our packages and their tests import on any system, and the tools.
func imported(t *testing.T, modules map[string]bool) map[string]bool {
	t.Helper()
	used := map[string]bool{}
	for m, isTool := range modules {
		if isTool {
			used[m] = true
		}
	}
	for _, p := range ownPackages(t) {
		for _, list := range [][]string{p.Imports, p.TestImports, p.XTestImports} {
			for _, path := range list {
				first, _, _ := strings.Cut(path, "/")
				if !strings.Contains(first, ".") {
					continue // the standard library, or ours
				}
				m := moduleOf(path, modules)
				if m == "" {
					t.Errorf("%s imports %s, which go.mod does not require", p.ImportPath, path)
					continue
				}
				used[m] = true
			}
		}
	}
	return used
}

// moduleOf returns the required module that a package belongs to: the longest one that its path
// begins with.
func moduleOf(path string, modules map[string]bool) string {
	best := ""
	for m := range modules {
		if (path == m || strings.HasPrefix(path, m+"/")) && len(m) > len(best) {
			best = m
		}
	}
	return best
}
