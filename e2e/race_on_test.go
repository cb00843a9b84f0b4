//go:build linux && race

package e2e

const raceEnabled = true

var raceFlags = []string{"-race", "-gcflags=modernc.org/sqlite/lib=-race=false"} // as in the Makefile
