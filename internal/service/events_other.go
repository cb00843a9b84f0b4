//go:build !windows

package service

import (
	"errors"
	"io"
)

// EventLog returns an error: only Windows has an event log.
func EventLog() (io.Writer, error) {
	return nil, errors.New("there is no event log on this system")
}
