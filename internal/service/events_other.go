//go:build !windows

package service

import (
	"errors"
	"io"
)

// EventLog is of Windows only.
func EventLog() (io.Writer, error) { return nil, errors.New("there is no event log on this system") }
