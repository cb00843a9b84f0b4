package arch

import (
	"testing"

	"sealpost/agent/tray"
	"sealpost/spool"
)

// TestMaxSize: a tray accepts the sizes that a hub accepts. The tray must not import the spool.
func TestMaxSize(t *testing.T) {
	if tray.MaxSize != spool.MaxSize {
		t.Errorf("a tray accepts %d bytes, a hub %d", int64(tray.MaxSize), int64(spool.MaxSize))
	}
}
