package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"sealpost/internal/reason"
	"sealpost/internal/secretfile"
	"sealpost/internal/shell"
	"sealpost/internal/way"
)

// maxFlaws bounds the findings about the state folder.
const maxFlaws = 10

// permissionsCheck is the name of the check of all permissions.
var permissionsCheck = reason.New("check-permissions")

// permissions finds the files and folders that other accounts could read, write or replace.
func permissions(_ context.Context, o Options) []Finding {
	list := append(flaws(o), settings(o)...)
	list = append(list, ways(o)...)
	if len(list) == 0 && exists(o, "") { // otherwise a finding of folders
		return good(permissionsCheck, goodPermissions(o.Config.State))
	}
	return list
}

// flaws finds the files of the state folder that other accounts can access.
func flaws(o Options) (list []Finding) {
	more := 0
	err := secretfile.Inspect(o.Config.State, func(f secretfile.Flaw) {
		switch {
		case f.Name == "identity.key" || f.Name == "recipient.key" && o.Config.Receives():
			// a finding of keys
		case len(list) < maxFlaws:
			list = append(list, flaw(o, f))
		default:
			more++
		}
	})
	if more > 0 {
		list = append(list, warn(permissionsCheck,
			reason.New("more-flaws", "n", more, "folder", o.Config.State),
			reason.New("start-or-run", "command",
				shell.Join("chmod", "-R", "go-rwx", o.Config.State)))...)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		list = append(list, warn(permissionsCheck, reason.Of(err), asAgent())...)
	}
	return list
}

func flaw(o Options, f secretfile.Flaw) Finding {
	name := filepath.FromSlash(f.Name)
	path, mode := filepath.Join(o.Config.State, name), octal(f.Mode)
	check := reason.New("check-permissions-of", "path",
		filepath.Join(filepath.Base(o.Config.State), name))
	private := shell.Join("chmod", "600", path)
	switch {
	case f.Kind == secretfile.Foreign:
		return fail(check, reason.New("file-of-account", "path", path, "account", f.Owner),
			reason.New("remove-foreign"))[0]
	case f.Kind == secretfile.Listed:
		return warn(check, reason.New("file-listed", "path", path, "account", f.Owner),
			reason.New("remove-from-list", "command",
				fmt.Sprintf(`icacls "%s" /remove:g "*%s"`, path, f.Owner)))[0]
	case f.Kind == secretfile.OpenKey:
		return fail(check, reason.New("key-open", "path", path, "mode", mode),
			reason.New("close-key", "command", private))[0]
	case f.Kind == secretfile.Linked:
		return warn(check, reason.New("file-linked", "path", path, "mode", mode),
			reason.New("find-other-name", "find",
				shell.Join("find", "/", "-xdev", "-samefile", path), "command", private))[0]
	case f.Mode.IsDir():
		open := warn
		if f.Name == "." && f.Kind == secretfile.Open {
			open = fail
		}
		return open(check, reason.New("folder-open", "path", path, "mode", mode),
			run(shell.Join("chmod", "700", path)))[0]
	}
	return warn(check, reason.New("file-open", "path", path, "mode", mode), run(private))[0]
}

// octal returns the permissions of a mode as chmod takes them.
func octal(mode fs.FileMode) string { return fmt.Sprintf("%04o", mode.Perm()) }

// ways finds each place at which another account could replace the state folder, a tray or the
// inbox. Another account may own the folder above a tray or inbox, but not above the state folder.
func ways(o Options) (list []Finding) {
	var said []way.Fault
	for i, p := range places(o) {
		check := reason.New("check-way", "place", p.check)
		faults, err := way.Above(p.dir, serviceOf(o)...)
		if err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, fs.ErrNotExist) {
			list = append(list, warn(check, reason.Of(err), asAgent())...)
		}
		for _, f := range faults {
			if slices.Contains(said, f) {
				continue
			}
			said = append(said, f)
			open := warn
			if i == 0 { // the agent does not start with it
				open = fail
			}
			v := f.Verdict()
			says := reason.New("way-open-to", "fault", v.Says, "path", p.dir)
			list = append(list, open(check, says, v.Do)...)
		}
	}
	return list
}
