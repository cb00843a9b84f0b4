package cli

import (
	"os"
	"runtime/debug"
)

// agentMemory is what an agent's runtime keeps to. Buffers of large files take the most of it, and no number of files
// takes more.
const agentMemory = 96 << 20

// limitMemory has the runtime keep to a limit, unless GOMEMLIMIT has set one already.
func limitMemory(bytes int64) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(bytes)
	}
}
