//go:build !linux

package durable

import (
	"os"
	"time"
)

// SetTime returns ErrUnsupported: times are set by a file's name here.
func SetTime(*os.File, time.Time) error { return ErrUnsupported }

// SyncFS returns ErrUnsupported: callers flush file by file.
func SyncFS(string) error { return ErrUnsupported }
