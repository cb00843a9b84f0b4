// Package winetest skips tests of Windows that cannot pass on Wine. It is for tests only.
package winetest

import "testing"

// Lacks skips a test of a feature that Wine lacks, at version 10.
func Lacks(t testing.TB, feature string) {
	t.Helper()
	if isWine() {
		t.Skip("SKIPPED: Wine lacks " + feature)
	}
}
