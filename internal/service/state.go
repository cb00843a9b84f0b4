package service

import (
	"strings"
	"time"
)

// State is the manager's state of a service. Fields that the manager lacks are empty.
type State struct {
	Service   string `json:"service"`
	Installed bool   `json:"installed"`
	Running   bool   `json:"running"` // and serving, for the manager
	// starting, stopping, or waiting for a restart after a failure
	Changing bool   `json:"changing,omitempty"`
	Detail   string `json:"detail,omitempty"` // in the manager's own words

	Boot     bool      `json:"boot"` // starts with the machine
	Folder   string    `json:"folder,omitempty"`
	Account  string    `json:"account,omitempty"`
	Process  int       `json:"process,omitempty"`
	Since    time.Time `json:"since,omitzero"`     // it runs
	Restarts int       `json:"restarts,omitempty"` // after failures, since an admin started it
	Says     string    `json:"says,omitempty"`     // the daemon's last status
	Failure  string    `json:"failure,omitempty"`  // its last end, if it failed
}

// isBusy reports whether there is a process to stop.
func (s State) isBusy() bool { return s.Running || s.Changing }

// name returns the name of the instance.
func (s State) name(kind string) string {
	return strings.TrimPrefix(s.Service, Instance{Kind: kind}.Service())
}

// String returns the state in one line.
func (s State) String() string {
	text := s.Service
	switch {
	case !s.Installed:
		text += ": not installed as a service"
	case s.Running:
		text += ": installed, running"
	case s.Changing:
		text += ": installed, not serving now"
	default:
		text += ": installed, not running"
	}
	if s.Detail != "" {
		text += " (" + s.Detail + ")"
	}
	return text
}
