package service

import (
	"strings"
	"time"
)

// State is how a service stands with its manager. What the manager does not tell is empty.
type State struct {
	Service   string `json:"service"`
	Installed bool   `json:"installed"`
	Running   bool   `json:"running"`            // and serving, as far as the manager knows
	Changing  bool   `json:"changing,omitempty"` // starting, stopping, or waiting to be started again after a failure
	Detail    string `json:"detail,omitempty"`   // in the manager's own words

	Boot     bool      `json:"boot"` // starts with the machine
	Folder   string    `json:"folder,omitempty"`
	Account  string    `json:"account,omitempty"`
	Process  int       `json:"process,omitempty"`
	Since    time.Time `json:"since,omitzero"`     // it runs
	Restarts int       `json:"restarts,omitempty"` // after failures, since a person has started it
	Says     string    `json:"says,omitempty"`     // the daemon's last word to its manager
	Failure  string    `json:"failure,omitempty"`  // how it ended the last time, unless well
}

// busy tells whether there is something to stop.
func (s State) busy() bool { return s.Running || s.Changing }

// name is that of the instance.
func (s State) name(kind string) string {
	return strings.TrimPrefix(s.Service, Instance{Kind: kind}.Service())
}

// String says it in one line.
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
