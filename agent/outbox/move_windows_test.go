package outbox

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/windows"

	"sealpost/internal/words"
)

// TestWhoKeepsAFileFromBeingMoved tells another program that has it open from missing rights.
func TestWhoKeepsAFileFromBeingMoved(t *testing.T) {
	for err, want := range map[error]string{
		&os.LinkError{Err: windows.ERROR_SHARING_VIOLATION}: words.HeldFromMoving,
		&os.LinkError{Err: windows.ERROR_ACCESS_DENIED}:     words.MayNotMove,
		errors.New("other"): words.MayNotMove,
	} {
		if got := whyStuck(err); got != want {
			t.Errorf("%v: %q", err, got)
		}
	}
}
