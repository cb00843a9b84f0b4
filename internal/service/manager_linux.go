package service

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"strings"
)

// DefaultUser is the account of services for which nobody has named another.
const DefaultUser = packageUser

// moreArguments are none: the journal keeps what a daemon writes to standard error.
func moreArguments() []string { return nil }

// mayManage refuses early what the manager would refuse in the middle.
func mayManage() error {
	if os.Geteuid() != 0 {
		return errors.New("only root may change services: run the same command with sudo")
	}
	return nil
}

// managerUser leaves the account to our unit.
func managerUser(Installation) string { return "" }

// ownUnit is the unit that Install writes; for an instance it outweighs the template unit of a package.
func ownUnit(n Instance) string { return "/etc/systemd/system/" + n.Service() + ".service" }

// makeRoom checks the account and takes an earlier unit away, so that it can be written anew.
func makeRoom(i Installation) (again bool, err error) {
	if _, err := user.Lookup(i.User); err != nil {
		return false, fmt.Errorf("there is no account %q for the service to run under; make one with: useradd --system --user-group --home-dir %s --shell /usr/sbin/nologin %s", i.User, stateRoot, i.User)
	}
	if _, err := user.LookupGroup(i.Group); err != nil {
		return false, fmt.Errorf("there is no group %q of the people who drop and take files; make one with: groupadd --system %s", i.Group, i.Group)
	}
	err = os.Remove(ownUnit(i.Instance))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func setUpFolders(i Installation) []string { return carryOut(folderSteps(i), execute) }

// finishInstall has nothing to add: the unit says everything.
func finishInstall(Installation) ([]string, error) { return nil, nil }

// LetPeopleIn returns the commands by which people may drop and take files.
func LetPeopleIn(i Installation) []string {
	if len(i.Shared) == 0 {
		return nil
	}
	return []string{"usermod -aG " + i.Group + " PERSON       (they log in again)"}
}

// startAndWait returns when the daemon has said READY.
func startAndWait(n Instance) error {
	s, err := library(n)
	if err != nil {
		return err
	}
	return s.Start()
}

func stopAndWait(n Instance) error { return systemctl("stop", n.Service()+".service") }

// remove disables a service and takes the unit away that Install wrote. A package's template unit stays.
func remove(n Instance) error {
	if _, err := os.Stat(ownUnit(n)); err != nil {
		return systemctl("disable", n.Service()+".service")
	}
	s, err := library(n)
	if err == nil {
		err = s.Uninstall()
	}
	if err != nil {
		return fmt.Errorf("uninstall %s: %w", n.Service(), err)
	}
	return nil
}

func whereToLook(n Instance) string {
	return "; see why with: journalctl -e -u " + command{n.Service()}.String()
}

// Ask asks the manager how a service stands.
func Ask(n Instance) (State, error) {
	s := State{Service: n.Service()}
	out, err := exec.Command("systemctl", "show", "--property=LoadState,ActiveState,SubState,UnitFileState", n.Service()+".service").Output()
	if err != nil {
		return s, fmt.Errorf("ask systemd for %s: %w", n.Service(), err)
	}
	return readState(s, string(out), exists(ownUnit(n))), nil
}

// readState reads what systemctl show says. A template unit loads for every name, so an instance of it counts as installed
// when it is enabled or runs.
func readState(s State, shown string, own bool) State {
	values := map[string]string{}
	for line := range strings.Lines(shown) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		values[name] = value
	}
	active := values["ActiveState"]
	s.Running = active == "active" || active == "activating" || active == "deactivating" || active == "reloading"
	s.Installed = values["LoadState"] == "loaded" && (own || s.Running || strings.HasPrefix(values["UnitFileState"], "enabled"))
	if s.Installed {
		s.Detail = active + ", " + values["SubState"]
	}
	return s
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func systemctl(args ...string) error { return execute(append(command{"systemctl"}, args...)) }

// execute runs a command; the error has its own words.
func execute(c command) error {
	var said bytes.Buffer
	cmd := exec.Command(c[0], c[1:]...)
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		if text := strings.TrimSpace(said.String()); text != "" {
			return fmt.Errorf("%w: %s", err, text)
		}
		return err
	}
	return nil
}
