package doctor

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"

	"sealpost/internal/secretfile"
	"sealpost/internal/way"
	"sealpost/internal/words"
)

// maxFlaws is how many flaws of the state folder are named one by one.
const maxFlaws = 10

// permissions looks for what other accounts could read, write or replace.
func permissions(_ context.Context, o Options) []Finding {
	list := append(flaws(o), settings(o)...)
	list = append(list, ways(o)...)
	if len(list) == 0 {
		return ok(words.Permissions, goodPermissions(o.Config.State))
	}
	return list
}

// flaws names what in the state folder is not the agent's alone.
func flaws(o Options) (list []Finding) {
	more := 0
	err := secretfile.Inspect(o.Config.State, func(f secretfile.Flaw) {
		switch {
		case f.Name == "identity.key" || f.Name == "recipient.key" && o.Config.Receives():
			// Said of the key.
		case len(list) < maxFlaws:
			list = append(list, flaw(o, f))
		default:
			more++
		}
	})
	if more > 0 {
		list = append(list, warn(words.Permissions, words.MoreFlaws(o.Config.State, more))...)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		list = append(list, warn(words.Permissions, words.PermissionsUnknown(err))...)
	}
	return list
}

func flaw(o Options, f secretfile.Flaw) Finding {
	path := filepath.Join(o.Config.State, filepath.FromSlash(f.Name))
	what := filepath.Join(words.Permissions+" of "+filepath.Base(o.Config.State), filepath.FromSlash(f.Name))
	level, verdict := Warn, words.FileOpen(path, f.Mode)
	switch {
	case f.Kind == secretfile.Foreign:
		level, verdict = Fail, words.FileForeign(path, f.Owner)
	case f.Kind == secretfile.Listed:
		verdict = words.FileListed(path, f.Owner)
	case f.Kind == secretfile.OpenKey:
		level, verdict = Fail, words.KeyOpen(path, f.Mode)
	case f.Kind == secretfile.Linked:
		verdict = words.FileLinked(path, f.Mode)
	case f.Mode.IsDir():
		verdict = words.FolderOpen(path, f.Mode)
	}
	if f.Name == "." && f.Kind == secretfile.Open {
		level = Fail
	}
	return finding(level, what, verdict)[0]
}

// ways names each place at which another account could replace the state folder, a tray or the inbox. Trays and inboxes may
// lie in a folder that another account owns; the state folder must not.
func ways(o Options) (list []Finding) {
	var said []way.Fault
	for i, p := range places(o) {
		faults, err := way.Above(p.dir, serviceOf(o)...)
		if err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, fs.ErrNotExist) {
			list = append(list, warn("way to "+p.what, words.PermissionsUnknown(err))...)
		}
		for _, f := range faults {
			if slices.Contains(said, f) {
				continue
			}
			said = append(said, f)
			level := Warn
			if i == 0 { // the agent does not start with it
				level = Fail
			}
			list = append(list, finding(level, "way to "+p.what, words.WayLoose(p.dir, f))...)
		}
	}
	return list
}
