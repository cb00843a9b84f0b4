package beneath

import (
	"errors"
	"io/fs"

	"sealpost/internal/durable"
)

// fewSyncs is the largest number of single syncs. More are one of the whole file system, which also
// waits for writes of others.
const fewSyncs = 8

// SyncFile makes the content of a regular file durable.
func (d *Dir) SyncFile(name string) error {
	return d.in("sync", name, (*Dir).syncFile)
}

// SyncGroup makes a group of changes on this folder's file system durable. These are the content of
// files and the entries of dirs below ("." is this folder), and the entries of other open folders.
// On Linux a large group is one syncfs; otherwise each is flushed.
func (d *Dir) SyncGroup(files, dirs []string, others ...*Dir) error {
	if len(files)+len(dirs)+len(others) > fewSyncs {
		if err := d.syncFS(); !errors.Is(err, durable.ErrUnsupported) {
			return err
		}
	}
	err := d.syncEach(files, dirs, others)
	if errors.Is(err, fs.ErrPermission) {
		// A folder may be writable but not readable, and then it cannot be opened for syncing.
		if whole := d.syncFS(); !errors.Is(whole, durable.ErrUnsupported) {
			return whole
		}
	}
	return err
}

func (d *Dir) syncEach(files, dirs []string, others []*Dir) error {
	for _, name := range files {
		if err := d.SyncFile(name); err != nil {
			return err
		}
	}
	for _, name := range dirs {
		sub := d
		if name != "." {
			var err error
			if sub, err = d.Dir(name); err != nil {
				return err
			}
		}
		err := sub.Sync()
		sub.closeUnless(d)
		if err != nil {
			return err
		}
	}
	for _, other := range others {
		if err := other.Sync(); err != nil {
			return err
		}
	}
	return nil
}

// SyncTree makes a folder below and everything in it durable, in constant memory.
func (d *Dir) SyncTree(name string) error {
	if err := d.syncFS(); !errors.Is(err, durable.ErrUnsupported) {
		return err
	}
	sub, err := d.Dir(name)
	if err != nil {
		return err
	}
	defer sub.Close()
	return sub.syncAll(maxDepth)
}

func (d *Dir) syncAll(depth int) error {
	if depth == 0 {
		return d.failed("sync", "", ErrName)
	}
	err := d.Each(func(entries []fs.DirEntry) error {
		for _, e := range entries {
			if !e.IsDir() {
				if err := d.syncFile(e.Name()); err != nil {
					return err
				}
				continue
			}
			sub, err := d.sub(e.Name())
			if err != nil {
				return err
			}
			err = sub.syncAll(depth - 1)
			sub.Close()
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return d.Sync()
}
