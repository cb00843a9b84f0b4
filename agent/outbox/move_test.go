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

// TestWhyStuck expects the cause of each error. An unknown one is told without its paths.
func TestWhyStuck(t *testing.T) {
	b := &box{Tray: Tray{Folders: Folders{Dir: t.TempDir()}}}
	for err, want := range map[error]reason.Reason{
		syscall.ENOSPC: reason.New("disk-full"), syscall.EDQUOT: reason.New("over-quota"),
		syscall.EXDEV: reason.New("other-disk"), syscall.EACCES: reason.New("no-right"),
		errors.New("other"): reason.Text("other"),
	} {
		for _, err := range []error{&fs.PathError{Op: "mkdir", Path: "sending/x", Err: err},
			&os.LinkError{Op: "rename", Old: "a", New: "b", Err: err}} {
			if got := b.whyStuck(err); got != reason.New("cannot-move", "why", want) {
				t.Errorf("%v: %q, want %q", err, got, want)
			}
		}
	}
	if got := b.whyStuck(nil); !got.IsZero() {
		t.Errorf("without an error: %v", got)
	}
}
