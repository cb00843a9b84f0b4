//go:build !linux

package loopfs

import "testing"

// Mount skips the test.
func Mount(t testing.TB, _ Kind) string {
	t.Helper()
	t.Skip("SKIPPED: only Linux can mount it")
	return ""
}

// MountAny skips the test.
func MountAny(t testing.TB, _ ...Kind) (string, Kind) {
	t.Helper()
	return Mount(t, ""), ""
}
