//go:build !linux

package badgerspool

import "io/fs"

func blocks(info fs.FileInfo) int64 { return info.Size() }
