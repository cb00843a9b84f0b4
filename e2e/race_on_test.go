//go:build linux && race

package e2e

import (
	"cmp"
	"os"
	"strings"
)

const raceEnabled = true

// testFlags are those of `make test`, or else the one of `go test -race`.
var testFlags = strings.Fields(cmp.Or(os.Getenv("SEALPOST_TEST_FLAGS"), "-race"))
