package doctor

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"sealpost/config"
	"sealpost/internal/beneath"
	"sealpost/internal/durable"
	"sealpost/internal/id"
	"sealpost/internal/patience"
	"sealpost/internal/reason"
	"sealpost/internal/trouble"
)

// place is a folder of the site, with its name among the checks.
type place struct {
	check reason.Reason
	dir   string
}

// places returns the folders of the site.
func places(o Options) (list []place) {
	add := func(dir, tray string) {
		list = append(list, place{reason.New("check-folder", "name", filepath.Base(dir), "tray",
			tray), dir})
	}
	add(o.Config.State, "")
	trays := o.Config.Trays()
	for _, t := range trays {
		for _, dir := range t.Folders() {
			add(dir, nameOf(trays, t))
		}
	}
	if o.Config.Receives() {
		add(o.Config.Inbox.Dir, "")
	}
	return list
}

// nameOf returns the name of a tray, or "" if it is the only one.
func nameOf(trays []config.Tray, t config.Tray) string {
	if len(trays) == 1 {
		return ""
	}
	return t.Name
}

// folderPatience is the longest wait for a folder.
const folderPatience = 5 * time.Second

// folders tries to write and to read in each folder, all at the same time: one that hangs delays
// none.
func folders(_ context.Context, o Options) (list []Finding) {
	all := places(o)
	results := make([]error, len(all))
	var wait sync.WaitGroup
	for i, p := range all {
		wait.Go(func() {
			err, ok := patience.Within(folderPatience, func() error { return try(p.dir) })
			if !ok {
				err = errSilent
			}
			results[i] = err
		})
	}
	wait.Wait()
	for i, p := range all {
		check, dir, err := p.check, p.dir, results[i]
		switch {
		case err == errSilent:
			list = append(list, fail(check, reason.Of(err), reason.New("await-server"))...)
		case err == nil:
			list = append(list, good(check, reason.New("folder-good", "folder", dir))...)
		case errors.Is(err, fs.ErrNotExist):
			do := reason.New("mount-or-make")
			switch dir {
			case o.Config.Inbox.Dir:
				do = reason.New("mount-inbox")
			case o.Config.State:
				do = reason.New("mount-state")
			}
			list = append(list, fail(check, missing(dir), do)...)
		case errors.Is(err, beneath.ErrLink):
			list = append(list, fail(check, reason.New("folder-linked", "folder", dir),
				reason.New("remove-link"))...)
		default:
			list = append(list, fail(check, reason.Of(err), remedy(err, dir))...)
		}
	}
	return list
}

// errSilent means that a folder does not answer.
var errSilent = reason.Err("folder-unanswered")

// remedy returns the cause of an error in a folder, with its remedy.
func remedy(err error, dir string) reason.Reason {
	if reason.Of(err).Code == reason.NotDirectory {
		return reason.New("move-file-away")
	}
	if why := trouble.Of(err, dir); !why.IsZero() {
		return why
	}
	return repair()
}

// repair is the remedy for a disk that fails.
func repair() reason.Reason { return reason.New("repair-disk") }

// senders finds each entry of the inbox that has the name of a site and is no folder. Nothing can
// be placed for that sender. An inbox that cannot be listed is a finding of folders.
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
				list = append(list, fail(reason.New("check-inbox"),
					reason.New("entry-for-sender", "site", site, "inbox", o.Config.Inbox.Dir),
					reason.New("remove-entry"))...)
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

// try lists a folder, and makes and removes a file in it. Other accounts may write there, and the
// doctor may be root: it works through a handle, and follows and replaces nothing.
func try(dir string) error {
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		return reason.Err(reason.NotDirectory, "path", dir)
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

// volumes checks each tray.
func volumes(_ context.Context, o Options) (list []Finding) {
	trays := o.Config.Trays()
	for _, t := range trays {
		check := reason.New("check-tray", "name", nameOf(trays, t))
		list = append(list, volume(check, t)...)
	}
	return list
}

// volume checks that a file can be renamed from each folder of a tray into the next. Between outbox
// and sending a copy does as well, but not from a share.
func volume(check reason.Reason, t config.Tray) (list []Finding) {
	folders := t.Folders()
	at, err := beneath.Open(folders[0])
	if err != nil {
		return nil // a finding of folders
	}
	defer func() { at.Close() }()
	outbox, isCopied, name := at.Disk(), false, probeName()
	f, err := at.Create(name, 0o600)
	if err != nil {
		return nil // a finding of folders
	}
	f.Close()                          //nolint:errcheck // nothing was written
	defer func() { at.Remove(name) }() //nolint:errcheck // a probe that stays is ignored
	for i, dir := range folders[1:] {
		next, err := beneath.Open(dir)
		if err != nil {
			continue // a finding of folders
		}
		err = at.RenameNoReplace(name, next, name)
		if i == 0 && trouble.IsOtherDisk(err) {
			isCopied = true
			at.Remove(name) //nolint:errcheck // the same
			if f, err = next.Create(name, 0o600); err == nil {
				f.Close() //nolint:errcheck // nothing was written
			}
		}
		if errors.Is(err, fs.ErrPermission) {
			next.Close()
			continue // a finding of folders
		}
		if err != nil {
			next.Close()
			do := trouble.Of(err, dir)
			switch {
			case errors.Is(err, fs.ErrExist):
				do = reason.New("folders-are-one")
			case do.IsZero():
				do = reason.New("one-volume-needed")
			}
			return fail(check, reason.New("volumes-differ", "folder", dir, "why", err), do)
		}
		at.Close()
		at = next
	}
	switch {
	case isCopied:
		return ownDisk(check, t, folders[0], outbox)
	case isShared(t, outbox):
		list = good(check, reason.New("one-share", "type", outbox.Type, "least",
			time.Duration(t.ShareSettle)))
	default:
		list = good(check, reason.New("one-volume"))
	}
	return append(list, addressed(check, t)...)
}

// ownDisk returns the finding on a folder with another disk than sending.
func ownDisk(check reason.Reason, t config.Tray, dir string, disk beneath.Disk) []Finding {
	if isShared(t, disk) {
		return fail(check, reason.New("own-share-found", "folder", dir),
			reason.New("move-tray-there"))
	}
	return good(check, reason.New("own-disk-found", "folder", dir))
}

// addressed finds the folders for addresses in outbox that have a disk of their own.
func addressed(check reason.Reason, t config.Tray) (list []Finding) {
	dir := t.Folders()[0]
	d, err := beneath.Open(dir)
	if err != nil {
		return nil // a finding of folders
	}
	defer d.Close()
	d.Each(func(entries []fs.DirEntry) error { //nolint:errcheck // the same
		for _, e := range entries {
			if !strings.HasPrefix(e.Name(), "@") || !e.IsDir() || len(list) == maxSenders {
				continue
			}
			below, err := d.Dir(e.Name())
			if err != nil {
				continue
			}
			if isSame, err := d.IsSameDisk(below); err == nil && !isSame {
				list = append(list, ownDisk(check, t, below.Path(), below.Disk())...)
			}
			below.Close()
		}
		return nil
	})
	return list
}

// isShared reports whether a tray's disk is a share. The admin may know better than the system.
func isShared(t config.Tray, disk beneath.Disk) bool {
	if t.Disk != "" {
		return t.Disk == config.DiskShared
	}
	return disk.Class == beneath.Shared
}

// space compares the free space with the need.
func space(_ context.Context, o Options) (list []Finding) {
	const little = 256 << 20 // beside the largest file that is to be sent
	if o.Config.Receives() {
		list = append(list, room(reason.New("check-space-inbox"), o.Config.Inbox.Dir,
			int64(o.Config.Inbox.Reserve), reason.New("make-room-inbox"))...)
	}
	return append(list, room(reason.New("check-space-state"), o.Config.State, little,
		reason.New("make-room-state"))...)
}

func room(check reason.Reason, dir string, need int64, do reason.Reason) []Finding {
	free, err := durable.Free(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a finding of folders
	}
	if err != nil {
		return fail(check, reason.Of(err), remedy(err, dir))
	}
	short := reason.New("space-short", "folder", dir, "free", reason.Size(free),
		"need", reason.Size(need))
	switch {
	case free < need:
		return fail(check, short, do)
	case free < 4*need:
		return warn(check, short, reason.New("make-room-soon"))
	}
	return good(check, reason.New("space-good", "folder", dir, "free", reason.Size(free)))
}
