//go:build !linux && !windows

package service

import "github.com/kardianos/service"

// DefaultUser is empty: the manager chooses.
const DefaultUser = ""

// moreArguments are none: the manager keeps what a daemon writes to standard error.
func moreArguments() []string { return nil }

// MayManage leaves the judgement to the manager.
func MayManage() error { return nil }

func managerUser(i Installation) string            { return i.User }
func mayInstall(Installation) error                { return nil }
func setUpFolders(Installation) []string           { return nil }
func finishInstall(Installation) ([]string, error) { return nil, nil }

// WhereToLook says where the reasons of a failure stand.
func WhereToLook(Instance) string { return "that of the system" }

// LetPeopleIn returns the commands by which people may drop and take files; none are known here.
func LetPeopleIn(Installation) []string { return nil }

// services are not known here.
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

// Ask asks the manager how a service stands.
func Ask(n Instance) (State, error) {
	state := State{Service: n.Service()}
	s, err := library(n)
	if err != nil {
		return state, err
	}
	is, err := s.Status()
	if err != nil {
		return state, nil // the library tells an absent service by an error
	}
	state.Installed, state.Running = true, is == service.StatusRunning
	return state, nil
}
