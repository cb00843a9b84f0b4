package service

import (
	"errors"
	"fmt"
	"strings"

	"github.com/kardianos/service"
)

// Report is what an installation has come to.
type Report struct {
	Service string   `json:"service"`
	Again   bool     `json:"again,omitempty"` // it was installed already, and has been renewed
	Left    []string `json:"left,omitempty"`  // commands that failed here and that a person has to run
}

// State is how a service stands with its manager.
type State struct {
	Service   string `json:"service"`
	Installed bool   `json:"installed"`
	Running   bool   `json:"running"`
	Detail    string `json:"detail,omitempty"` // in the manager's own words
}

// String says it in one line.
func (s State) String() string {
	text := s.Service
	switch {
	case !s.Installed:
		text += ": not installed as a service"
	case s.Running:
		text += ": installed, running"
	default:
		text += ": installed, not running"
	}
	if s.Detail != "" {
		text += " (" + s.Detail + ")"
	}
	return text
}

// ErrNotInstalled says that the manager knows no such service.
var ErrNotInstalled = errors.New("is not installed as a service")

// Install makes an instance a service that starts with the machine, and sets its folders up. It does not start it. Repeated,
// it renews what is there; a running service goes on as it was until it is restarted.
func Install(i Installation) (Report, error) {
	r := Report{Service: i.Service()}
	if err := i.Check(); err != nil {
		return r, err
	}
	if err := mayManage(); err != nil {
		return r, err
	}
	config, err := managerConfig(i)
	if err != nil {
		return r, err
	}
	if r.Again, err = makeRoom(i); err != nil {
		return r, err
	}
	r.Left = setUpFolders(i)
	s, err := service.New(nil, config)
	if err != nil {
		return r, fmt.Errorf("install %s: %w", r.Service, err)
	}
	if err := s.Install(); err != nil {
		return r, fmt.Errorf("install %s: %w", r.Service, err)
	}
	left, err := finishInstall(i)
	r.Left = append(r.Left, left...)
	return r, err
}

// managerConfig is what the library needs to know. Our unit is complete, so it asks for nothing more.
func managerConfig(i Installation) (*service.Config, error) {
	unit, err := Unit(i)
	if err != nil {
		return nil, err
	}
	if strings.Contains(unit, "{{") {
		return nil, fmt.Errorf("install %s: a path with {{ in it cannot be installed", i.Service())
	}
	return &service.Config{
		Name: i.Service(), DisplayName: "sealpost " + i.Kind + " " + i.Name, Description: description(i.Kind),
		Executable: i.Program, Arguments: append([]string{i.Kind, "run", "--dir", i.Dir}, moreArguments()...), UserName: managerUser(i),
		Option: service.KeyValue{"SystemdScript": unit, "OnFailure": "restart"},
	}, nil
}

func description(kind string) string {
	if kind == Hub {
		return "Takes in sealed files from labs and hands them to research centres; it cannot read them"
	}
	return "Sends the files that are dropped into the outbox, and receives into the inbox"
}

// Uninstall stops a service and takes it from the manager. Folders, keys and files stay.
func Uninstall(n Instance) error {
	state, err := known(n)
	if err != nil {
		return err
	}
	if state.Running {
		if err := Stop(n); err != nil {
			return err
		}
	}
	return remove(n)
}

// Start starts a service, and returns when the daemon serves, where the manager can tell.
func Start(n Instance) error {
	if _, err := known(n); err != nil {
		return err
	}
	if err := startAndWait(n); err != nil {
		return fmt.Errorf("start %s: %w%s", n.Service(), err, whereToLook(n))
	}
	return nil
}

// Stop stops a service, and returns when it has stopped. One that does not run is no error.
func Stop(n Instance) error {
	state, err := known(n)
	if err != nil || !state.Running {
		return err
	}
	if err := stopAndWait(n); err != nil {
		return fmt.Errorf("stop %s: %w%s", n.Service(), err, whereToLook(n))
	}
	return nil
}

// Restart stops a service if it runs, and starts it.
func Restart(n Instance) error {
	if err := Stop(n); err != nil {
		return err
	}
	return Start(n)
}

// known asks for the state of a service that must be there.
func known(n Instance) (State, error) {
	if err := n.Check(); err != nil {
		return State{}, err
	}
	if err := mayManage(); err != nil {
		return State{}, err
	}
	state, err := Ask(n)
	if err == nil && !state.Installed {
		err = fmt.Errorf("%s %w on this machine; install it with: sealpost %s install --name %s --dir FOLDER", n.Service(), ErrNotInstalled, n.Kind, n.Name)
	}
	return state, err
}

// library is the manager's service of that name.
func library(n Instance) (service.Service, error) {
	return service.New(nil, &service.Config{Name: n.Service()})
}
