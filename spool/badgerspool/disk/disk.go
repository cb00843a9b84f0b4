// Package disk has the file operations of the engine as named steps. Tests can make each of them
// fail.
//
// It must not know queues, envelopes or the store.
package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"sealpost/internal/durable"
)

// Disk carries out one named operation on a file. A test's disk fails before the operation took
// effect, or after.
type Disk func(op, path string, f func() error) error

// Real carries out every operation.
func Real(_, _ string, f func() error) error { return f() }

// Create creates a file, or empties it.
func (d Disk) Create(path string) (f *os.File, err error) {
	err = d("create", path, func() (err error) {
		f, err = os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
		return err
	})
	if err != nil && f != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, err
}

// Reserve creates a file of the full size. Its blocks and its name are durable; after an error it
// is removed.
func (d Disk) Reserve(path string, size int64) (*os.File, error) {
	return d.make(path, size, func(f *os.File) error { return preallocate(f, size) })
}

// make creates a file and gives it its size.
func (d Disk) make(path string, size int64, grow func(*os.File) error) (*os.File, error) {
	f, err := d.Create(path)
	if err == nil {
		err = d("allocate", path, func() error { return grow(f) })
	}
	if err == nil {
		err = d("sync", path, f.Sync)
	}
	if err == nil {
		err = d.SyncDir(filepath.Dir(path))
	}
	if err == nil {
		return f, nil
	}
	if f != nil {
		err = errors.Join(err, f.Close())
	}
	os.Remove(path) // else the next start removes it
	return nil, fmt.Errorf("reserve %d bytes: %w", size, err)
}

// Sparse creates a file of the full size without blocks. Its size and name are durable; after an
// error it is removed.
func (d Disk) Sparse(path string, size int64) (*os.File, error) {
	return d.make(path, size, func(f *os.File) error { return f.Truncate(size) })
}

// Allocate reserves the blocks of a range of a file, where the file system can.
func (d Disk) Allocate(path string, offset, length int64) error {
	return d.open("allocate", path, func(f *os.File) error { return allocate(f, offset, length) })
}

// Punch frees the blocks of a range of a file, where the file system can.
func (d Disk) Punch(path string, offset, length int64) error {
	return d.open("free blocks", path, func(f *os.File) error { return punch(f, offset, length) })
}

// open carries out an operation on an open file.
func (d Disk) open(op, path string, do func(*os.File) error) error {
	return d(op, path, func() error {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return errors.Join(do(f), f.Close())
	})
}

// WriteAt writes data at an offset.
func (d Disk) WriteAt(f *os.File, data []byte, offset int64) error {
	return d("write", f.Name(), func() error { _, err := f.WriteAt(data, offset); return err })
}

// Sync makes a file's data durable.
func (d Disk) Sync(f *os.File) error {
	return d("sync", f.Name(), func() error { return datasync(f) })
}

// SyncDir makes the names in a folder durable.
func (d Disk) SyncDir(path string) error {
	return d("sync folder", path, func() error { return durable.SyncDir(path) })
}

// Unlink removes a file; an absent one is a success.
func (d Disk) Unlink(path string) error {
	return d("unlink", path, func() error {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
}
