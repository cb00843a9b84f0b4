package service

import (
	"embed"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"sealpost/internal/reason"
)

//go:embed unit/hub.service unit/agent.service
var unitFiles embed.FS

var unitTemplates = template.Must(template.ParseFS(unitFiles, "unit/*.service"))

const (
	stateRoot   = "/var/lib/sealpost" // folder of the instances of a package's template units
	packageUser = "sealpost"          // the account of a package
	anyInstance = "%i"                // systemd replaces it by an instance's name
)

// unitFields holds the fields of the unit templates, in systemd's quoting.
type unitFields struct {
	Name, Service, Program, Exec, Reload, User, Group, Stop string
	Mounts, StateDirectory, RuntimeDirectory                string
	ProtectHome                                             string
	ReadWrite, Bind, BindReadOnly                           []string
}

// Unit returns the systemd unit of an installation.
func Unit(i Installation) (string, error) {
	f := unitFields{
		Name: quote(i.Name), Service: quote(i.Service()),
		Program: strings.ReplaceAll(i.Program, "%", "%%"), User: i.User, Group: i.Group,
		Stop:             stopTime.String(),
		RuntimeDirectory: quote("sealpost/" + i.Kind + "-" + i.Name), ProtectHome: "yes",
	}
	command := func(verb string) string {
		return strings.Join([]string{argument(i.Program), i.Kind, verb, "--dir", argument(i.Dir)},
			" ")
	}
	f.Exec, f.Reload = command("run"), command("reload") // only the hub's unit has a reload
	folders := outermost(append([]string{i.Dir, i.State}, append(i.Shared, i.Writable...)...))
	if own := stateRoot + "/" + i.Name; i.Dir == own {
		f.StateDirectory = quote("sealpost/" + i.Name)
		folders = slices.DeleteFunc(folders, func(path string) bool { return path == own })
	}
	f.Mounts = strings.Join(spelled(folders), " ")
	for _, path := range folders {
		if isHiddenHome(path) {
			f.Bind = append(f.Bind, quote(path))
		} else {
			f.ReadWrite = append(f.ReadWrite, quote(path))
		}
	}
	if isHiddenHome(i.Program) {
		f.BindReadOnly = []string{quote(i.Program)}
	}
	if len(f.Bind)+len(f.BindReadOnly) > 0 {
		f.ProtectHome = "tmpfs" // empty, except for bound folders
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

// outermost removes paths that lie in others of the list. A rename between two folders then never
// crosses a mount.
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

// isHiddenHome reports whether ProtectHome hides a path.
func isHiddenHome(path string) bool {
	return slices.ContainsFunc([]string{"/home", "/root", "/run/user"}, func(home string) bool {
		return path == home || strings.HasPrefix(path, home+"/")
	})
}

// Grantable reports whether a folder may be opened to a service as a whole. A home, or a folder
// directly under the root, holds too many foreign files.
func Grantable(folder string) bool {
	above := filepath.Dir(folder)
	return above != filepath.Dir(above) && above != "/home" && folder != "/root" &&
		above != "/run/user"
}

func spelled(paths []string) []string {
	var out []string
	for _, path := range paths {
		out = append(out, quote(path))
	}
	return out
}

// bindable returns an error for paths that the settings of binds cannot hold.
func bindable(paths []string) error {
	for _, path := range paths {
		if strings.Contains(path, ":") {
			return reason.Err("path-colon", "path", path)
		}
	}
	return nil
}

// argument quotes a word of a command line, where $ begins a variable.
func argument(word string) string { return quote(strings.ReplaceAll(word, "$", "$$")) }

// quote quotes a value for systemd: % begins a specifier, spaces need quotes.
func quote(s string) string {
	s = strings.ReplaceAll(s, "%", "%%")
	if !strings.ContainsAny(s, " \t\"'\\;") {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
