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

	"sealpost/internal/reason"
)

// DefaultUser is the default account of services.
const DefaultUser = packageUser

// moreArguments returns nil: the journal keeps a daemon's standard error.
func moreArguments() []string { return nil }

// MayManage returns an error if the manager would refuse this account later.
func MayManage() error {
	if os.Geteuid() != 0 {
		return reason.Err("only-root")
	}
	return nil
}

// managerUser returns "": our unit names the account.
func managerUser(Installation) string { return "" }

// ownUnit returns the path of Install's unit, which overrides the template unit of a package for
// the instance.
func ownUnit(n Instance) string { return "/etc/systemd/system/" + n.Service() + ".service" }

// mayInstall checks the account, and that no other account can replace the folders.
func mayInstall(i Installation) error {
	a, err := accountOf(i)
	if err != nil {
		return err
	}
	return refused(i, a)
}

// makeRoom removes an earlier unit.
func makeRoom(i Installation) (renewed bool, err error) {
	err = os.Remove(ownUnit(i.Instance))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// setUpFolders gives the folders to the account and the group of users. It checks that these can
// reach them, and that no other account can change them.
func setUpFolders(i Installation) []reason.Reason {
	a, err := accountOf(i)
	if err != nil {
		return []reason.Reason{oneLine(err)}
	}
	w := walkerOf(i, a)
	steps := slices.Concat(folderSteps(i, a, w), reachSteps(i, a), programSteps(i, w))
	return carryOut(steps, step.do)
}

// finishInstall does nothing: the unit is complete.
func finishInstall(Installation) ([]reason.Reason, error) { return nil, nil }

// LetPeopleIn returns the commands that let users drop and take files.
func LetPeopleIn(i Installation) []reason.Reason {
	if len(i.Shared) == 0 {
		return nil
	}
	return []reason.Reason{reason.New("let-user-in", "group", i.Group)}
}

// startAndWait starts a service and waits for READY.
func startAndWait(n Instance) error {
	began := time.Now()
	err := systemctl("start", n.Service()+".service")
	if err == nil {
		return nil
	}
	if state, asked := Ask(n); asked == nil && state.Failure != "" {
		err = reason.Err("does-not-serve", "failure", state.Failure)
	}
	if said := lastWords(n, began); said != "" {
		err = fmt.Errorf("%w: %s", err, said)
	}
	return err
}

// lastWords returns the daemon's last line since then, mostly the reason of its end. It returns ""
// if the journal cannot assign the line, as for a process that ended at once.
func lastWords(n Instance, since time.Time) string {
	exec.Command("journalctl", "--sync").Run() //nolint:errcheck // wait for pending lines
	out, err := exec.Command("journalctl", "--no-pager", "--quiet", "--lines=1", "--output=cat",
		"--since=@"+strconv.FormatInt(since.Unix(), 10), "_SYSTEMD_UNIT="+n.Service()+
			".service").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

func stopAndWait(n Instance) error { return systemctl("stop", n.Service()+".service") }

// remove disables a service and removes Install's unit. A package's template unit stays.
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
	//nolint:errcheck // it fails if the unit has not failed
	systemctl("reset-failed", n.Service()+".service")
	return nil
}

// WhereToLook returns the command that shows the reasons of a failure.
func WhereToLook(n Instance) string { return "journalctl -e -u " + n.Service() }

// asked lists the properties for Ask.
const asked = "LoadState,ActiveState,SubState,UnitFileState,MainPID,NRestarts,StatusText,User," +
	"ExecStart,ActiveEnterTimestamp,Result,ExecMainStatus"

// Ask returns the manager's state of a service.
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

// readState reads the output of systemctl show. A template unit loads for every name, so its
// instances count as installed if they are enabled or running.
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
	s.Installed = values["LoadState"] == "loaded" && (own || s.isBusy() || s.Boot)
	if !s.Installed {
		return s
	}
	s.Detail = active + ", " + values["SubState"]
	_, folder, _ := strings.Cut(values["ExecStart"], " run --dir ")
	s.Folder, _, _ = strings.Cut(folder, " ; ignore_errors=")
	s.Account = values["User"]
	s.Restarts, _ = strconv.Atoi(values["NRestarts"])
	if s.isBusy() {
		s.Process, _ = strconv.Atoi(values["MainPID"])
	}
	if s.Running {
		s.Since, _ = time.Parse("Mon 2006-01-02 15:04:05 MST", values["ActiveEnterTimestamp"])
	} else if result := values["Result"]; result != "" && result != "success" {
		s.Failure = result + ", exit code " + values["ExecMainStatus"]
	}
	if s.isBusy() || s.Failure != "" {
		s.Says = values["StatusText"]
	}
	return s
}

// services returns the services of one kind: units written by Install, and enabled instances of a
// package's template.
func services(kind string) (all []State, err error) {
	prefix := Instance{Kind: kind}.Service()
	known := map[string]bool{}
	for _, folder := range []string{"/etc/systemd/system/", "/etc/systemd/system/*.wants/"} {
		units, err := filepath.Glob(folder + prefix + "?*.service")
		if err != nil {
			return nil, err
		}
		for _, unit := range units {
			known[strings.TrimSuffix(strings.TrimPrefix(filepath.Base(unit), prefix),
				".service")] = true
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

// execute runs a command; the error has the command's output.
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
