//go:build !windows

package outbox

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"testing"

	"sealpost/internal/reason"
)

// TestWhyStuck tells a full disk from missing rights.
func TestWhyStuck(t *testing.T) {
	for err, want := range map[error]reason.Reason{
		&fs.PathError{Op: "mkdir", Path: "sending/x",
			Err: syscall.ENOSPC}: reason.New("no-room-to-move"),
		&os.LinkError{Op: "rename", Old: "a", New: "b",
			Err: syscall.EDQUOT}: reason.New("no-room-to-move"),
		&fs.PathError{Op: "mkdir", Path: "sending/x",
			Err: fs.ErrPermission}: reason.New("may-not-move"),
		errors.New("other"): reason.New("may-not-move"),
	} {
		if got := whyStuck(err); got != want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
}
