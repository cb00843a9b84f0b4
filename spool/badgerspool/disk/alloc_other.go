//go:build !linux

package disk

import "os"

// preallocate gives the file its size. The blocks are taken when they are written.
func preallocate(f *os.File, size int64) error { return f.Truncate(size) }

// allocate does nothing here: blocks are taken when they are written.
func allocate(*os.File, int64, int64) error { return nil }

// punch does nothing here.
func punch(*os.File, int64, int64) error { return nil }

// datasync makes the file durable.
func datasync(f *os.File) error { return f.Sync() }

// StartWriting does nothing here.
func StartWriting(*os.File, int64, int64) {}
