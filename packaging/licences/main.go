// Licences writes the licences of all modules in the program: licences TREE OUT SYSTEM
// ARCHITECTURE. They must be distributed with the program.
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: licences TREE OUT SYSTEM ARCHITECTURE")
		os.Exit(2)
	}
	if err := write(tree{os.Args[1], os.Args[3], os.Args[4]}, os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "licences:", err)
		os.Exit(1)
	}
}

// tree is the program's source and its target.
type tree struct{ dir, system, architecture string }

func write(t tree, out string) error {
	modules, err := t.linked()
	if err != nil {
		return err
	}
	var all bytes.Buffer
	fmt.Fprintln(&all, "sealpost is one program made of these parts, each under the licence that "+
		"follows its name.")
	for _, m := range modules {
		name, dir, _ := strings.Cut(m, "\t")
		texts, err := texts(dir)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		fmt.Fprintf(&all, "\n%s\n%s\n%s\n\n%s", strings.Repeat("=", 80), name,
			strings.Repeat("=", 80), texts)
	}
	return os.WriteFile(out, all.Bytes(), 0o644)
}

// linked returns the modules in the program, and Go itself, each as "name version<tab>folder".
func (t tree) linked() ([]string, error) {
	root, err := t.run("env", "GOROOT")
	if err != nil {
		return nil, err
	}
	list, err := t.run("list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}} "+
		"{{.Version}}\t{{.Dir}}{{end}}{{end}}", ".")
	if err != nil {
		return nil, err
	}
	modules := []string{"Go's standard library\t" + strings.TrimSpace(string(root))}
	for lines := bufio.NewScanner(bytes.NewReader(list)); lines.Scan(); {
		if line := lines.Text(); line != "" {
			modules = append(modules, line)
		}
	}
	slices.Sort(modules[1:])
	return slices.Compact(modules), nil
}

func (t tree) run(args ...string) ([]byte, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir, cmd.Stderr = t.dir, os.Stderr
	cmd.Env = append(os.Environ(), "GOOS="+t.system, "GOARCH="+t.architecture, "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w", args[0], err)
	}
	return out, nil
}

// texts returns all licences and notices at the top of a module. A module without any must not be
// distributed.
func texts(dir string) (all []byte, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		name := strings.ToUpper(e.Name())
		if e.IsDir() || !slices.ContainsFunc([]string{"LICEN", "COPYING", "NOTICE", "PATENTS"},
			func(begin string) bool {
				return strings.HasPrefix(name, begin)
			}) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		all = append(append(all, bytes.TrimSpace(text)...), "\n\n"...)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no licence in %s", dir)
	}
	return all, nil
}
