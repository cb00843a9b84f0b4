package doctor

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"sealpost/config"
	"sealpost/internal/beneath"
	"sealpost/internal/durable"
	"sealpost/internal/id"
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
		case errors.Is(err, beneath.ErrLink):
			list = append(list, fail(what, words.FolderLinked(dir))...)
		case errors.Is(err, fs.ErrPermission):
			list = append(list, fail(what, words.FolderClosed(err))...)
		case durable.IsFull(err):
			list = append(list, fail(what, words.FolderFull(dir))...)
		default:
			list = append(list, fail(what, words.FolderBroken(err))...)
		}
	}
	return list
}

// senders names each entry of the inbox that has the name of a site and is no folder: nothing can be
// placed for that sender. An inbox that cannot be listed is a finding of folders.
func senders(_ context.Context, o Options) (list []Finding) {
	if !o.Config.Receives() {
		return nil
	}
	d, err := beneath.Open(o.Config.Inbox.Dir)
	if err != nil {
		return nil
	}
	defer d.Close()
	d.Each(func(entries []fs.DirEntry) error { //nolint:errcheck // see above
		for _, e := range entries {
			site, err := id.ParseSite(e.Name())
			if err == nil && !e.IsDir() && len(list) < maxSenders {
				list = append(list, fail("inbox", words.EntryInPlaceOfSender(o.Config.Inbox.Dir, site))...)
			}
		}
		return nil
	})
	return list
}

// maxSenders bounds the findings of senders.
const maxSenders = 10

// probeName returns a random name that the agent leaves alone.
func probeName() string { return ".sealpost-" + id.Random128[string]() + ".tmp" }

// try lists a folder and makes a file in it, which goes at once. The folder may be others' as well, so that it is held open
// and nothing in it is followed or replaced: this may run as root.
func try(dir string) error {
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		return words.FileInPlace(dir)
	}
	d, err := beneath.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if _, err := d.IsEmpty(); err != nil {
		return err
	}
	name := probeName()
	f, err := d.Create(name, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString("probe")
	return errors.Join(err, f.Close(), d.Remove(name))
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
	at, err := beneath.Open(folders[0])
	if err != nil {
		return nil // said of the folder
	}
	defer func() { at.Close() }()
	name := probeName()
	f, err := at.Create(name, 0o600)
	if err != nil {
		return nil // said of the folder
	}
	f.Close()                          //nolint:errcheck // nothing was written
	defer func() { at.Remove(name) }() //nolint:errcheck // a probe that stays is ignored
	for _, dir := range folders[1:] {
		next, err := beneath.Open(dir)
		if err != nil {
			continue // said of the folder
		}
		err = at.RenameNoReplace(name, next, name)
		if errors.Is(err, fs.ErrPermission) {
			next.Close()
			continue // said of the folder
		}
		if err != nil {
			next.Close()
			return fail(what, words.VolumesDiffer(dir, err))
		}
		at.Close()
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
