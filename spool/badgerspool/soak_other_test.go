//go:build !linux

package badgerspool

import (
	"io/fs"
	"time"
)

func blocks(info fs.FileInfo) int64 { return info.Size() }

func cpuTime() time.Duration { return 0 }
