package service

import (
	"fmt"
	"strings"

	"github.com/kardianos/service"

	"sealpost/internal/reason"
)

// Report is the result of an installation.
type Report struct {
	Service string          `json:"service"`
	Again   bool            `json:"again,omitempty"` // it was installed before
	Left    []reason.Reason `json:"left,omitempty"`  // failed commands, for the admin to run
}

// ErrTaken means that another service has that name or folder.
var ErrTaken = reason.Err("taken")

// ErrNotInstalled means that the manager knows no such service.
var ErrNotInstalled = reason.Err("not-installed")

// Install installs an instance as a service that starts with the machine, and sets up its folders.
// It does not start it. Repeated, it renews the service; a running one changes only after a
// restart.
func Install(i Installation) (Report, error) {
	r := Report{Service: i.Service()}
	if err := i.Check(); err != nil {
		return r, err
	}
	if err := MayManage(); err != nil {
		return r, err
	}
	config, err := managerConfig(i)
	if err != nil {
		return r, err
	}
	if err := free(i); err != nil {
		return r, err
	}
	if err := mayInstall(i); err != nil {
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

// free checks that no other service has the name or the folder. Two daemons in one folder keep each
// other from starting, and a name that moved to another folder would leave the first one without a
// service.
func free(i Installation) error {
	all, err := services(i.Kind)
	if err != nil {
		return fmt.Errorf("look for other services: %w", err)
	}
	return clash(i, all)
}

func clash(i Installation, all []State) error {
	for _, other := range all {
		switch same := other.Folder == i.Dir; {
		case other.Folder == "":
		case other.Service == i.Service() && !same:
			return reason.Err("service-name-taken", "name", i.Name, "cause", ErrTaken, "service",
				other.Service, "folder", other.Folder, "kind", i.Kind)
		case other.Service != i.Service() && same:
			return reason.Err("service-folder-taken", "folder", i.Dir, "cause", ErrTaken,
				"service", other.Service, "kind", i.Kind, "name", other.name(i.Kind))
		}
	}
	return nil
}

// Of returns the service of a folder. The name is empty if there is none.
func Of(kind, dir string) (Instance, error) {
	n := Instance{Kind: kind}
	all, err := services(kind)
	for _, s := range all {
		if s.Folder == dir {
			n.Name = s.name(kind)
		}
	}
	return n, err
}

// managerConfig returns the library's configuration. Our unit is complete and needs no more
// options.
func managerConfig(i Installation) (*service.Config, error) {
	unit, err := Unit(i)
	if err != nil {
		return nil, err
	}
	if strings.Contains(unit, "{{") {
		return nil, reason.Err("path-braces", "service", i.Service())
	}
	return &service.Config{
		Name: i.Service(), DisplayName: "sealpost " + i.Kind + " " + i.Name,
		Description: description(i.Kind),
		Executable:  i.Program, Arguments: append([]string{i.Kind, "run", "--dir", i.Dir},
			moreArguments()...), UserName: managerUser(i),
		Option: service.KeyValue{"SystemdScript": unit, "OnFailure": "restart"},
	}, nil
}

func description(kind string) string {
	if kind == Hub {
		return "Takes in sealed files from labs and hands them to research centres; it cannot " +
			"read them"
	}
	return "Sends the files that are dropped into the outbox, and receives into the inbox"
}

// Uninstall stops a service and removes it from the manager. Folders, keys and files stay.
func Uninstall(n Instance) error {
	state, err := known(n)
	if err != nil {
		return err
	}
	if state.isBusy() {
		if err := Stop(n); err != nil {
			return err
		}
	}
	return remove(n)
}

// Start starts a service, and waits until the daemon serves, if the manager can tell.
func Start(n Instance) error {
	if _, err := known(n); err != nil {
		return err
	}
	if err := startAndWait(n); err != nil {
		return reason.Err("start-failed", "service", n.Service(), "why", err, "log",
			WhereToLook(n))
	}
	return nil
}

// Stop stops a service, and waits until it has stopped. It returns nil if the service does not run.
func Stop(n Instance) error {
	state, err := known(n)
	if err != nil || !state.isBusy() {
		return err
	}
	if err := stopAndWait(n); err != nil {
		return reason.Err("stop-failed", "service", n.Service(), "why", err, "log",
			WhereToLook(n))
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

// known returns the state of an installed service, or ErrNotInstalled.
func known(n Instance) (State, error) {
	if err := n.Check(); err != nil {
		return State{}, err
	}
	if err := MayManage(); err != nil {
		return State{}, err
	}
	state, err := Ask(n)
	if err == nil && !state.Installed {
		err = reason.Err("service-unknown", "service", n.Service(), "cause", ErrNotInstalled,
			"kind", n.Kind, "name", n.Name)
	}
	return state, err
}

// library returns the library's service of that name.
func library(n Instance) (service.Service, error) {
	return service.New(nil, &service.Config{Name: n.Service()})
}
