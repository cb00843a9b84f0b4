//go:build !linux

package oddfs

import (
	"errors"
	"io"
	"syscall"
	"testing"
)

// Disk is a mounted file system. Only Linux has it.
type Disk struct{ Dir, Back string }

// Mount skips the test.
func Mount(t testing.TB, _ Habits) *Disk {
	t.Helper()
	t.Skip("SKIPPED: only Linux can mount it")
	return nil
}

// Set does nothing.
func (*Disk) Set(Habits) {}

// Fail does nothing.
func (*Disk) Fail(Op, string, syscall.Errno) {}

// Hang does nothing.
func (*Disk) Hang(Op) {}

// Heal does nothing.
func (*Disk) Heal() {}

// Serve returns errors.ErrUnsupported.
func Serve(string, string, io.Reader, io.Writer) error { return errors.ErrUnsupported }
