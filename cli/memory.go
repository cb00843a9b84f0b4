package cli

import (
	"os"
	"runtime/debug"
)

// agentMemory is the memory limit of an agent's runtime. It holds 40 MiB of buffers of the large
// files that it receives, the rest, and room for the collector. The caches of the ledger come on
// top, so that the sum is below 96 MiB.
const agentMemory = 72 << 20

// collectAt is the growth of the live heap, in percent, before a collection. Daemons have a small
// live heap and much garbage: at Go's 100 a small file costs 3 % more processor time, and at 400 no
// less than at 200.
const collectAt = 200

// limitMemory sets the limit of the runtime and the growth, unless GOMEMLIMIT or GOGC is set.
func limitMemory(bytes int64) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(bytes)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
}
