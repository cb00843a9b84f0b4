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
	for err, want := range map[error]reason.Reason{
		&os.LinkError{Err: windows.ERROR_SHARING_VIOLATION}: reason.New("held-from-moving"),
		&os.LinkError{Err: windows.ERROR_ACCESS_DENIED}:     reason.New("may-not-move"),
		errors.New("other"): reason.New("may-not-move"),
	} {
		if got := whyStuck(err); got != want {
			t.Errorf("%v: %q", err, got)
		}
	}
}
