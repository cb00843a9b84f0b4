//go:build !linux && !windows

package service

import (
	"github.com/kardianos/service"

	"sealpost/internal/reason"
)

// DefaultUser is empty: the manager chooses the account.
const DefaultUser = ""

// moreArguments returns nil: the manager keeps a daemon's standard error.
func moreArguments() []string { return nil }

// MayManage returns nil: the manager decides.
func MayManage() error { return nil }

func managerUser(i Installation) string                   { return i.User }
func mayInstall(Installation) error                       { return nil }
func setUpFolders(Installation) []reason.Reason           { return nil }
func finishInstall(Installation) ([]reason.Reason, error) { return nil, nil }

// WhereToLook returns the log with the reasons of a failure.
func WhereToLook(Instance) string { return "that of the system" }

// LetPeopleIn returns nil: no commands are known here.
func LetPeopleIn(Installation) []reason.Reason { return nil }

// services returns nil: they are not known here.
func services(string) ([]State, error) { return nil, nil }

func makeRoom(i Installation) (bool, error) {
	state, err := Ask(i.Instance)
	if err != nil || !state.Installed {
		return false, err
	}
	return true, remove(i.Instance)
}

func startAndWait(n Instance) error {
	s, err := library(n)
	if err != nil {
		return err
	}
	return s.Start()
}

func stopAndWait(n Instance) error {
	s, err := library(n)
	if err != nil {
		return err
	}
	return s.Stop()
}

// Ask returns the manager's state of a service.
func Ask(n Instance) (State, error) {
	state := State{Service: n.Service()}
	s, err := library(n)
	if err != nil {
		return state, err
	}
	is, err := s.Status()
	if err != nil {
		return state, nil // the library returns an error for an absent service
	}
	state.Installed, state.Running = true, is == service.StatusRunning
	return state, nil
}
