package outbox

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/windows"

	"sealpost/internal/reason"
)

// TestWhoKeepsAFileFromBeingMoved tells another program that has it open from missing rights.
func TestWhoKeepsAFileFromBeingMoved(t *testing.T) {
	b := &box{Tray: Tray{Folders: Folders{Dir: t.TempDir()}}}
	for err, want := range map[error]reason.Reason{
		&os.LinkError{Err: windows.ERROR_SHARING_VIOLATION}: reason.New("held-from-moving"),
		&os.LinkError{Err: windows.ERROR_ACCESS_DENIED}: reason.New("cannot-move", "why",
			reason.New("no-right")),
		errors.New("other"): reason.New("cannot-move", "why", errors.New("other")),
	} {
		if got := b.whyStuck(err); got != want {
			t.Errorf("%v: %q", err, got)
		}
	}
}
