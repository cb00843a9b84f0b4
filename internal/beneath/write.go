package beneath

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
)

// Create makes a new file and opens it for reading and writing.
func (d *Dir) Create(name string, perm fs.FileMode) (f *os.File, err error) {
	err = d.in("create", name, func(d *Dir, base string) (err error) {
		f, err = d.create(base, perm)
		return err
	})
	return f, err
}

// Append opens a regular file for writing at its end.
func (d *Dir) Append(name string) (f *os.File, err error) {
	err = d.in("append to", name, func(d *Dir, base string) (err error) {
		f, err = d.append(base)
		return err
	})
	return f, err
}

// Mkdir makes a folder.
func (d *Dir) Mkdir(name string, perm fs.FileMode) error {
	return d.in("mkdir", name, func(d *Dir, base string) error { return d.mkdir(base, perm) })
}

// MkdirAll makes a folder below and missing folders above it, and syncs each folder that got a new
// entry.
func (d *Dir) MkdirAll(name string, perm fs.FileMode) error {
	for end := 0; end < len(name); {
		_, rest, more := cut(name[end:])
		part := name
		if more {
			part = name[:len(name)-len(rest)-1]
		}
		end = len(part) + 1
		err := d.in("mkdir", part, func(d *Dir, base string) error {
			err := d.mkdir(base, perm)
			if errors.Is(err, fs.ErrExist) {
				var existing *Dir
				if existing, err = d.sub(base); err == nil {
					existing.Close()
				}
				return err
			}
			if err == nil {
				err = d.Sync()
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Replace makes a file with this content, or replaces one. Readers see the old or the new content,
// complete. It is not synced: after a crash the file may be empty.
func (d *Dir) Replace(name string, data []byte, perm fs.FileMode) error {
	return d.replace(name, data, perm, func(*os.File) error { return nil })
}

// WriteFile is a durable Replace, with its entry.
func (d *Dir) WriteFile(name string, data []byte, perm fs.FileMode) error {
	return d.in("write", name, func(d *Dir, base string) error {
		if err := d.replace(base, data, perm, (*os.File).Sync); err != nil {
			return err
		}
		return d.Sync()
	})
}

func (d *Dir) replace(name string, data []byte, perm fs.FileMode, sync func(*os.File) error) error {
	return d.in("write", name, func(d *Dir, base string) error {
		var random [8]byte
		rand.Read(random[:]) // never fails: crypto/rand ends the process instead
		temp := ".sealpost-" + hex.EncodeToString(random[:]) + ".tmp"
		f, err := d.create(temp, perm)
		if err != nil {
			return err
		}
		_, err = f.Write(data)
		if err == nil {
			// Whatever the umask. A disk without permissions has no narrower ones to give.
			if err = chmod(f, perm); IsUnable(err) {
				err = nil
			}
		}
		if err == nil {
			err = sync(f)
		}
		if err = errors.Join(err, f.Close()); err == nil {
			err = d.failed("write", base, rename(d, temp, d, base))
		}
		if err != nil {
			return errors.Join(err, d.remove(temp))
		}
		return nil
	})
}
