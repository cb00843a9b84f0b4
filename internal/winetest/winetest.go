// Package winetest tells tests that they run on Wine rather than on Windows. It is for tests only.
package winetest

import "testing"

// Lacks skips a test of something that Windows has and Wine, at the time of writing version 10, has not. It says so.
func Lacks(t testing.TB, what string) {
	t.Helper()
	if onWine() {
		t.Skip("SKIPPED: Wine lacks " + what)
	}
}
