//go:build !linux

package durable

// SyncFS does not exist here: SyncGroup flushes file by file.
func SyncFS(string) error { return ErrUnsupported }
