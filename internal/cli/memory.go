package cli

import (
	"os"
	"runtime/debug"
)

// agentMemory is what an agent's runtime keeps to: 40 MiB of buffers of the large files that it receives, the rest, and room
// for the collector. The caches of the ledger come on top, so that all is below 96 MiB.
const agentMemory = 72 << 20

// limitMemory has the runtime keep to a limit, unless GOMEMLIMIT has set one already.
func limitMemory(bytes int64) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(bytes)
	}
}
