package cli

import (
	"os"
	"runtime/debug"
)

// agentMemory is what an agent's runtime keeps to: 40 MiB of buffers of the large files that it receives, the rest, and room
// for the collector. The caches of the ledger come on top, so that all is below 96 MiB.
const agentMemory = 72 << 20

// collectAt is by how much of what is alive, in percent, the heap grows before it is collected. Daemons have little alive and
// throw much away: at Go's 100 a small file costs 3 % more processor time, and at 400 no less than at 200.
const collectAt = 200

// limitMemory has the runtime keep to a limit, and collect less often below it, unless GOMEMLIMIT or GOGC say otherwise.
func limitMemory(bytes int64) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(bytes)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
}
