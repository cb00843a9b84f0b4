package doctor

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"sealpost/config"
	"sealpost/internal/durable"
	"sealpost/internal/words"
)

// place is a folder, by the name that people know.
type place struct{ what, dir string }

// places are the folders that the site works with.
func places(o Options) (list []place) {
	list = append(list, place{"folder " + filepath.Base(o.Config.State), o.Config.State})
	trays := o.Config.Trays()
	for _, t := range trays {
		for _, dir := range t.Folders() {
			list = append(list, place{"folder " + filepath.Base(dir) + ofTray(trays, t), dir})
		}
	}
	if o.Config.Receives() {
		list = append(list, place{"folder " + filepath.Base(o.Config.Inbox.Dir), o.Config.Inbox.Dir})
	}
	return list
}

// ofTray says which tray is meant, where there are several.
func ofTray(trays []config.Tray, t config.Tray) string {
	if len(trays) == 1 {
		return ""
	}
	return " of the tray " + t.Name
}

// folders tries to write and to read in each of them.
func folders(_ context.Context, o Options) (list []Finding) {
	for _, p := range places(o) {
		what, dir := p.what, p.dir
		err := try(dir)
		switch {
		case err == nil:
			list = append(list, ok(what, words.FolderGood(dir))...)
		case errors.Is(err, fs.ErrNotExist):
			list = append(list, fail(what, words.FolderMissing(dir))...)
		case errors.Is(err, fs.ErrPermission):
			list = append(list, fail(what, words.FolderClosed(err))...)
		default:
			list = append(list, fail(what, words.FolderBroken(err))...)
		}
	}
	return list
}

// probe is a name that the agent leaves alone.
const probe = ".sealpost-doctor.tmp"

// try lists a folder and makes a file in it, which goes at once.
func try(dir string) error {
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		return words.FileInPlace(dir)
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	_, err = d.Readdirnames(1)
	d.Close() //nolint:errcheck // it was only read
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	path := filepath.Join(dir, probe)
	if err := os.WriteFile(path, []byte("probe"), 0o600); err != nil {
		return err
	}
	return os.Remove(path)
}

// volumes looks at each tray.
func volumes(_ context.Context, o Options) (list []Finding) {
	trays := o.Config.Trays()
	for _, t := range trays {
		what := "tray"
		if len(trays) > 1 {
			what += " " + t.Name
		}
		list = append(list, volume(what, t.Folders())...)
	}
	return list
}

// volume makes sure that a file can be renamed from the first folder of a tray into the others.
func volume(what string, folders []string) []Finding {
	at := filepath.Join(folders[0], probe)
	if err := os.WriteFile(at, nil, 0o600); err != nil {
		return nil // said of the folder
	}
	defer func() { os.Remove(at) }() //nolint:errcheck // a probe that stays is ignored
	for _, dir := range folders[1:] {
		next := filepath.Join(dir, probe)
		err := os.Rename(at, next)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			continue // said of the folder
		}
		if err != nil {
			return fail(what, words.VolumesDiffer(dir, err))
		}
		at = next
	}
	return ok(what, words.OneVolume())
}

// space holds what is free against what is needed.
func space(_ context.Context, o Options) (list []Finding) {
	const little = 256 << 20 // beside the largest file that is to be sent
	if o.Config.Receives() {
		list = append(list, room(words.SpaceInbox, o.Config.Inbox.Dir, int64(o.Config.Inbox.Reserve))...)
	}
	return append(list, room(words.SpaceState, o.Config.State, little)...)
}

func room(what, dir string, need int64) []Finding {
	free, err := durable.Free(dir)
	switch {
	case err != nil:
		return fail(what, words.SpaceUnknown(err))
	case free < need:
		return fail(what, words.SpaceUsedUp(dir, free, need))
	case free < 4*need:
		return warn(what, words.SpaceShort(dir, free, need))
	}
	return ok(what, words.SpaceGood(dir, free))
}
