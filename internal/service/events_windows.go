package service

import (
	"fmt"
	"io"
	"strings"

	"golang.org/x/sys/windows/svc/eventlog"
)

// eventSource is the source of all our entries; each names its site or hub itself.
const eventSource = "sealpost"

// eventID is the id of all entries, as for event sources without a message file.
const eventID = 1

// registerEvents makes the event viewer show our entries unchanged.
func registerEvents() error {
	err := eventlog.InstallAsEventCreate(eventSource, eventlog.Error|eventlog.Warning|eventlog.Info)
	if err != nil && !strings.Contains(err.Error(), "exists") {
		return fmt.Errorf("register with the event log: %w", err)
	}
	return nil
}

// EventLog returns the system's event log, for a log in text with one line per write.
func EventLog() (io.Writer, error) {
	l, err := eventlog.Open(eventSource)
	if err != nil {
		return nil, fmt.Errorf("open the event log: %w", err)
	}
	return events{l}, nil
}

type events struct{ log *eventlog.Log }

func (e events) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	write := e.log.Info
	switch severityOf(text) {
	case failure:
		write = e.log.Error
	case warning:
		write = e.log.Warning
	}
	if err := write(eventID, text); err != nil {
		return 0, err
	}
	return len(line), nil
}
