//go:build !windows

package outbox

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"testing"

	"sealpost/internal/words"
)

// TestWhyStuck tells a full disk from missing rights.
func TestWhyStuck(t *testing.T) {
	for err, want := range map[error]string{
		&fs.PathError{Op: "mkdir", Path: "sending/x", Err: syscall.ENOSPC}:   words.NoRoomToMove,
		&os.LinkError{Op: "rename", Old: "a", New: "b", Err: syscall.EDQUOT}: words.NoRoomToMove,
		&fs.PathError{Op: "mkdir", Path: "sending/x", Err: fs.ErrPermission}: words.MayNotMove,
		errors.New("other"): words.MayNotMove,
	} {
		if got := whyStuck(err); got != want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
}
