package inbox

import (
	"errors"
	"io/fs"

	"sealpost/internal/beneath"
	"sealpost/internal/id"
)

// tighten removes the permission of other accounts to change entries of a folder of this account.
func (f *folders) tighten(d *beneath.Dir) bool {
	if err := f.access.enforce(d, f.access.records().dir); err != nil {
		return false
	}
	info, err := d.Info()
	return err == nil && isOurs(info)
}

// enforceOwn sets the access of the own folders. An earlier version hid records from the group, in
// folders that the group could change.
func (f *folders) enforceOwn() error {
	records := f.access.records()
	err := f.own.Each(func(entries []fs.DirEntry) error {
		for _, e := range entries {
			if _, err := id.ParseSite(e.Name()); err != nil || !e.IsDir() {
				continue
			}
			d, err := f.own.Dir(e.Name())
			if err == nil {
				err = records.enforce(d, records.dir)
				d.Close()
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(err, records.enforce(f.temp, 0o700), copyDefaultList(f.top, f.own),
		copyDefaultList(f.top, f.temp), records.enforce(f.own, records.dir))
}

// inspectOwn returns the identity and the inbox id of this account's folder in the inbox. isTight
// reports whether only this account can change it.
func (f *folders) inspectOwn(name string) (own beneath.ID, inboxID string, isTight bool) {
	d, err := f.top.Dir(name)
	if err != nil {
		return own, "", false
	}
	defer d.Close()
	info, err := d.Info()
	if err != nil || f.hasOwners && !(info.IsDir() && info.IsOurs()) {
		return own, "", false
	}
	return info.ID, readID(d), !f.hasOwners || isOurs(info)
}

// renameBack renames .sealpost back after another account has renamed it.
func (b *Inbox) renameBack(f *folders, inboxID string) (done bool) {
	f.eachOwn(func(name string, own *beneath.Dir) bool {
		if readID(own) != inboxID {
			return false
		}
		own.Close()
		err := b.setAside(f.top, ownDir)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			err = f.top.RenameOrLook(name, f.top, ownDir)
		}
		done = err == nil
		if done {
			b.log.Warn("renamed back", "folder", f.top.Path(), "from", name, "to", ownDir,
				"reason", "another account has renamed it")
		}
		return done
	})
	return done
}

// findOwn opens .sealpost, and renames it back as often as another account renames it. It returns
// nil if there is none. One listing is no proof: it can miss a folder during a rename.
func (b *Inbox) findOwn(f *folders, inboxID string) (*beneath.Dir, beneath.ID) {
	for range ownTries {
		d, err := f.top.Dir(ownDir)
		if err == nil {
			info, err := d.Info()
			if err == nil && (!f.hasOwners || isOurs(info)) && readID(d) == inboxID {
				return d, info.ID
			}
			d.Close()
		}
		b.renameBack(f, inboxID)
	}
	return nil, beneath.ID{}
}

// merge moves the entries of other folders with this inbox's ID to .sealpost. Such a folder exists
// if another account hid .sealpost, so that a second one was made.
func (b *Inbox) merge(f *folders, inboxID string) {
	f.eachOwn(func(name string, own *beneath.Dir) bool {
		if readID(own) != inboxID {
			return false
		}
		err := f.mergeFrom(own)
		if err == nil {
			err = f.top.Remove(name)
		}
		b.log.Warn("merged", "folder", f.top.Path(), "from", name, "to", ownDir,
			"reason", "another account has hidden it", "error", err)
		return false
	})
}

// mergeFrom moves the attempts and records of another own folder to this one. Existing records
// stay.
func (f *folders) mergeFrom(other *beneath.Dir) error {
	temp, err := other.Dir(tempName)
	if err == nil {
		info, infoErr := temp.Info()
		if err = infoErr; err == nil && (!f.hasOwners || isPrivate(info)) {
			err = moveAll(temp, f.temp)
		}
		temp.Close()
	}
	if err := ignoreMissing(err); err != nil {
		return err
	}
	return other.Each(func(entries []fs.DirEntry) error {
		for _, e := range entries {
			if sender, err := id.ParseSite(e.Name()); err == nil && e.IsDir() {
				if err := f.mergeRecords(other, sender); err != nil {
					return err
				}
			}
			if err := other.Remove(e.Name()); err != nil { // a folder only if it is empty
				return err
			}
		}
		return nil
	})
}

// mergeRecords moves the records of one sender to this own folder.
func (f *folders) mergeRecords(other *beneath.Dir, sender id.Site) error {
	from, err := other.Dir(string(sender))
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := f.recordsOf(sender)
	if err != nil {
		return err
	}
	return moveAll(from, to)
}

// moveAll moves entries to another folder, durably. It leaves those with a name that is taken
// there.
func moveAll(from, to *beneath.Dir) error {
	err := from.Each(func(entries []fs.DirEntry) error {
		for _, e := range entries {
			if err := from.RenameOrLook(e.Name(), to, e.Name()); err != nil &&
				!errors.Is(err, fs.ErrExist) {
				return err
			}
		}
		return nil
	})
	return errors.Join(err, to.Sync(), from.Sync())
}

// eachOwn calls visit with the folders that only this account can change, except .sealpost, until
// it returns true. It calls visit with none if the inbox cannot be listed.
func (f *folders) eachOwn(visit func(name string, own *beneath.Dir) bool) {
	f.top.Each(func(entries []fs.DirEntry) error { //nolint:errcheck // see above
		for _, e := range entries {
			if !e.IsDir() || e.Name() == ownDir {
				continue
			}
			if info, err := f.top.Lstat(e.Name()); err != nil || f.hasOwners && !isOurs(info) {
				continue
			}
			own, err := f.top.Dir(e.Name())
			if err != nil {
				continue
			}
			info, err := own.Info()
			isDone := err == nil && (!f.hasOwners || isOurs(info)) && visit(e.Name(), own)
			own.Close()
			if isDone {
				return errStop
			}
		}
		return nil
	})
}
