//go:build linux && !race

package e2e

const raceEnabled = false

// testFlags are those of `make build`.
var testFlags = []string{"-trimpath"}
