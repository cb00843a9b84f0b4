package service

import (
	"embed"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"text/template"
)

//go:embed unit/hub.service unit/agent.service
var unitFiles embed.FS

var unitTemplates = template.Must(template.ParseFS(unitFiles, "unit/*.service"))

const (
	stateRoot   = "/var/lib/sealpost" // where a package's template units look for their instances
	packageUser = "sealpost"          // the account that a package makes
	anyInstance = "%i"                // what systemd replaces by an instance's name
)

// unitFields is what the unit templates ask for, each spelled as systemd reads it.
type unitFields struct {
	Name, Service, Program, Exec, User, Group, Stop string
	Mounts, StateDirectory, RuntimeDirectory        string
	ProtectHome                                     string
	ReadWrite, Bind, BindReadOnly                   []string
}

// Unit returns the systemd unit of an installation.
func Unit(i Installation) (string, error) {
	f := unitFields{
		Name: quote(i.Name), Service: quote(i.Service()), Program: strings.ReplaceAll(i.Program, "%", "%%"), User: i.User, Group: i.Group, Stop: stopTime.String(),
		RuntimeDirectory: quote("sealpost/" + i.Kind + "-" + i.Name), ProtectHome: "yes",
		Exec: strings.Join([]string{argument(i.Program), i.Kind, "run", "--dir", argument(i.Dir)}, " "),
	}
	folders := outermost(append([]string{i.Dir, i.State}, append(i.Shared, i.Writable...)...))
	if own := stateRoot + "/" + i.Name; i.Dir == own {
		f.StateDirectory = quote("sealpost/" + i.Name)
		folders = slices.DeleteFunc(folders, func(path string) bool { return path == own })
	}
	f.Mounts = strings.Join(spelled(folders), " ")
	for _, path := range folders {
		if hiddenHome(path) {
			f.Bind = append(f.Bind, quote(path))
		} else {
			f.ReadWrite = append(f.ReadWrite, quote(path))
		}
	}
	if hiddenHome(i.Program) {
		f.BindReadOnly = []string{quote(i.Program)}
	}
	if len(f.Bind)+len(f.BindReadOnly) > 0 {
		f.ProtectHome = "tmpfs" // as good as empty, but for what is bound into it
	}
	if err := bindable(append(f.Bind, f.BindReadOnly...)); err != nil {
		return "", err
	}
	var b strings.Builder
	if err := unitTemplates.ExecuteTemplate(&b, i.Kind+".service", f); err != nil {
		return "", fmt.Errorf("unit of %s: %w", i.Service(), err)
	}
	if i.Name == anyInstance {
		return strings.ReplaceAll(b.String(), "%"+anyInstance, anyInstance), nil
	}
	return b.String(), nil
}

// outermost drops the paths that lie in others of the list, so that a rename between two folders never leaves a mount.
func outermost(paths []string) []string {
	var out []string
	paths = slices.Clone(paths)
	slices.Sort(paths)
	for _, path := range slices.Compact(paths) {
		inside := func(above string) bool {
			rel, err := filepath.Rel(above, path)
			return err == nil && filepath.IsLocal(rel)
		}
		if !slices.ContainsFunc(out, inside) {
			out = append(out, path)
		}
	}
	return out
}

// hiddenHome tells what ProtectHome takes away.
func hiddenHome(path string) bool {
	return slices.ContainsFunc([]string{"/home", "/root", "/run/user"}, func(home string) bool {
		return path == home || strings.HasPrefix(path, home+"/")
	})
}

// Grantable tells whether a folder may be opened to a service as a whole. A home, or what lies right under the root, holds
// too much that is not the service's.
func Grantable(folder string) bool {
	above := filepath.Dir(folder)
	return above != filepath.Dir(above) && above != "/home" && folder != "/root" && above != "/run/user"
}

func spelled(paths []string) []string {
	var out []string
	for _, path := range paths {
		out = append(out, quote(path))
	}
	return out
}

// bindable refuses what the settings of binds cannot spell.
func bindable(paths []string) error {
	for _, path := range paths {
		if strings.Contains(path, ":") {
			return fmt.Errorf("%s lies in a home and has a colon in it, which a unit cannot say: choose another folder", path)
		}
	}
	return nil
}

// argument spells a word of a command line, where $ begins a variable.
func argument(word string) string { return quote(strings.ReplaceAll(word, "$", "$$")) }

// quote spells a value as systemd reads it: % begins a specifier, spaces need quotes.
func quote(s string) string {
	s = strings.ReplaceAll(s, "%", "%%")
	if !strings.ContainsAny(s, " \t\"'\\;") {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
