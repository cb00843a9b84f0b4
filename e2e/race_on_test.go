//go:build linux && race

package e2e

const raceEnabled = true

// testFlags are those of `make test`.
var testFlags = []string{"-race", "-gcflags=modernc.org/sqlite/lib=-race=false"}
