//go:build !linux

package durable

import (
	"os"
	"time"
)

// SetTime does not exist here: a file's time is set by its name.
func SetTime(*os.File, time.Time) error { return ErrUnsupported }

// SyncFS does not exist here: callers flush file by file.
func SyncFS(string) error { return ErrUnsupported }
