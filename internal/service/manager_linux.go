package service

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// DefaultUser is the account of services for which nobody has named another.
const DefaultUser = packageUser

// moreArguments are none: the journal keeps what a daemon writes to standard error.
func moreArguments() []string { return nil }

// MayManage refuses early what the manager would refuse in the middle.
func MayManage() error {
	if os.Geteuid() != 0 {
		return errors.New("only root may change services: run the same command with sudo")
	}
	return nil
}

// managerUser leaves the account to our unit.
func managerUser(Installation) string { return "" }

// ownUnit is the unit that Install writes; for an instance it outweighs the template unit of a package.
func ownUnit(n Instance) string { return "/etc/systemd/system/" + n.Service() + ".service" }

// mayInstall checks the account, and that no other account can exchange the folders.
func mayInstall(i Installation) error {
	a, err := accountOf(i)
	if err != nil {
		return err
	}
	return refused(i, a)
}

// makeRoom takes an earlier unit away, so that it can be written anew.
func makeRoom(i Installation) (again bool, err error) {
	err = os.Remove(ownUnit(i.Instance))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// setUpFolders gives the folders to the account and the people, and looks whether they get there and who else does.
func setUpFolders(i Installation) []string {
	a, err := accountOf(i)
	if err != nil {
		return []string{oneLine(err)}
	}
	w := walkerOf(i, a)
	steps := slices.Concat(folderSteps(i, a, w), reachSteps(i, a), programSteps(i, w))
	return carryOut(steps, step.do)
}

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
	began := time.Now()
	err := systemctl("start", n.Service()+".service")
	if err == nil {
		return nil
	}
	if state, asked := Ask(n); asked == nil && state.Failure != "" {
		err = errors.New("it does not serve (" + state.Failure + ")")
	}
	if said := lastWords(n, began); said != "" {
		err = fmt.Errorf("%w: %s", err, said)
	}
	return err
}

// lastWords is the last line that the daemon has written since then, which mostly says why it has ended. The journal does not
// always know whose the line of a process was that ended at once; then there is none.
func lastWords(n Instance, since time.Time) string {
	exec.Command("journalctl", "--sync").Run() //nolint:errcheck // it is only waited for what is on the way
	out, err := exec.Command("journalctl", "--no-pager", "--quiet", "--lines=1", "--output=cat", "--since=@"+strconv.FormatInt(since.Unix(), 10), "_SYSTEMD_UNIT="+n.Service()+".service").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

func stopAndWait(n Instance) error { return systemctl("stop", n.Service()+".service") }

// remove disables a service and takes the unit away that Install wrote. A package's template unit stays.
func remove(n Instance) error {
	if !exists(ownUnit(n)) {
		return systemctl("disable", n.Service()+".service")
	}
	s, err := library(n)
	if err == nil {
		err = s.Uninstall()
	}
	if err != nil {
		return fmt.Errorf("uninstall %s: %w", n.Service(), err)
	}
	systemctl("reset-failed", n.Service()+".service") //nolint:errcheck // it fails for what has not failed
	return nil
}

// WhereToLook says where the reasons of a failure stand.
func WhereToLook(n Instance) string { return "journalctl -e -u " + n.Service() }

// asked are the properties that Ask wants to know.
const asked = "LoadState,ActiveState,SubState,UnitFileState,MainPID,NRestarts,StatusText,User,ExecStart,ActiveEnterTimestamp,Result,ExecMainStatus"

// Ask asks the manager how a service stands.
func Ask(n Instance) (State, error) {
	s := State{Service: n.Service()}
	cmd := exec.Command("systemctl", "show", "--property="+asked, n.Service()+".service")
	cmd.Env = append(os.Environ(), "TZ=UTC", "LC_ALL=C")
	out, err := cmd.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) && len(failed.Stderr) > 0 {
		err = errors.New(strings.TrimSpace(string(failed.Stderr)))
	}
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
	s.Running = active == "active" || active == "reloading"
	s.Changing = active == "activating" || active == "deactivating"
	s.Boot = strings.HasPrefix(values["UnitFileState"], "enabled")
	s.Installed = values["LoadState"] == "loaded" && (own || s.busy() || s.Boot)
	if !s.Installed {
		return s
	}
	s.Detail = active + ", " + values["SubState"]
	_, folder, _ := strings.Cut(values["ExecStart"], " run --dir ")
	s.Folder, _, _ = strings.Cut(folder, " ; ignore_errors=")
	s.Account = values["User"]
	s.Restarts, _ = strconv.Atoi(values["NRestarts"])
	if s.busy() {
		s.Process, _ = strconv.Atoi(values["MainPID"])
	}
	if s.Running {
		s.Since, _ = time.Parse("Mon 2006-01-02 15:04:05 MST", values["ActiveEnterTimestamp"])
	} else if result := values["Result"]; result != "" && result != "success" {
		s.Failure = result + ", exit code " + values["ExecMainStatus"]
	}
	if s.busy() || s.Failure != "" {
		s.Says = values["StatusText"]
	}
	return s
}

// services lists those of one kind: units that Install has written, and instances of a package's that start with the machine.
func services(kind string) (all []State, err error) {
	prefix := Instance{Kind: kind}.Service()
	known := map[string]bool{}
	for _, where := range []string{"/etc/systemd/system/", "/etc/systemd/system/*.wants/"} {
		units, err := filepath.Glob(where + prefix + "?*.service")
		if err != nil {
			return nil, err
		}
		for _, unit := range units {
			known[strings.TrimSuffix(strings.TrimPrefix(filepath.Base(unit), prefix), ".service")] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		state, err := Ask(Instance{Kind: kind, Name: name})
		if err != nil {
			return all, err
		}
		all = append(all, state)
	}
	return all, nil
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
