package badgerspool

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain lets the test binary be the child of the tests that kill.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		childMain(dir, os.Getenv(storyEnv))
		return
	}
	goleak.VerifyTestMain(m)
}

// soak reports whether there is time for the long tests.
func soak() bool { return os.Getenv("SEALPOST_SOAK") != "" }
