package service

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/mgr"

	"sealpost/internal/reason"
)

// DefaultUser is empty: the service runs as LocalSystem, which the access lists of keys and ledger
// admit.
const DefaultUser = ""

// moreArguments sends the log to the event log, since a service has no standard error.
func moreArguments() []string { return []string{"--" + ManagedFlag, "--log-format", "eventlog"} }

// failuresForgotten is the run time after which the pauses start again with the first.
const failuresForgotten = 24 * time.Hour

// startTime bounds the time between two signs of life while a service starts.
const startTime = 30 * time.Second

// MayManage returns an error without administrator's rights.
func MayManage() error {
	if !windows.GetCurrentProcessToken().IsElevated() {
		return reason.Err("only-administrator")
	}
	return nil
}

func managerUser(i Installation) string { return i.User }

func mayInstall(Installation) error { return nil }

// makeRoom removes an earlier installation.
func makeRoom(i Installation) (bool, error) {
	state, err := Ask(i.Instance)
	if err != nil || !state.Installed {
		return false, err
	}
	if state.isBusy() {
		return true, reason.Err("service-runs", "service", i.Service(), "kind", i.Kind,
			"name", i.Name)
	}
	return true, remove(i.Instance)
}

// setUpFolders admits an account of its own to the folders; LocalSystem is admitted already.
func setUpFolders(i Installation) []reason.Reason {
	if i.User == "" {
		return nil
	}
	return letAccountIn(i)
}

// LetPeopleIn returns the commands that let users drop and take files.
func LetPeopleIn(i Installation) []reason.Reason { return letGroupIn(i) }

// finishInstall sets options that the library lacks. These are recovery after every end with an
// error, with growing pauses, and time to hand back work at a shutdown.
func finishInstall(i Installation) (left []reason.Reason, err error) {
	if err := registerEvents(); err != nil {
		return nil, err
	}
	s, err := open(i.Instance, windows.SERVICE_CHANGE_CONFIG|windows.SERVICE_START)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	var actions []mgr.RecoveryAction
	for _, delay := range restartDelays {
		actions = append(actions, mgr.RecoveryAction{Type: mgr.ServiceRestart, Delay: delay})
	}
	if err := s.SetRecoveryActions(actions, uint32(failuresForgotten.Seconds())); err != nil {
		return nil, fmt.Errorf("recovery of %s: %w", i.Service(), err)
	}
	err = s.SetRecoveryActionsOnNonCrashFailures(true)
	if errors.Is(err, windows.ERROR_INVALID_LEVEL) { // the manager does not know it
		left = append(left, startAgain(i.Instance))
	} else if err != nil {
		return nil, fmt.Errorf("recovery of %s: %w", i.Service(), err)
	}
	info := struct{ timeout uint32 }{uint32(stopTime.Milliseconds())} // SERVICE_PRESHUTDOWN_INFO
	if err := windows.ChangeServiceConfig2(s.Handle, windows.SERVICE_CONFIG_PRESHUTDOWN_INFO,
		(*byte)(unsafe.Pointer(&info))); err != nil {
		return left, fmt.Errorf("shutdown of %s: %w", i.Service(), err)
	}
	return left, nil
}

// startAndWait starts a service, and waits until it reports that it runs, as long as its
// checkpoints grow.
func startAndWait(n Instance) error {
	s, err := open(n, windows.SERVICE_START|windows.SERVICE_QUERY_STATUS)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.Start(); err != nil && !errors.Is(err, windows.ERROR_SERVICE_ALREADY_RUNNING) {
		return err
	}
	checkpoint, deadline := uint32(0), time.Now().Add(startTime)
	for {
		status, err := s.Query()
		switch {
		case err != nil:
			return err
		case status.State == svc.Running:
			return nil
		case status.State == svc.Stopped:
			return reason.Err("stopped-at-once", "code",
				max(status.Win32ExitCode, status.ServiceSpecificExitCode))
		case status.CheckPoint != checkpoint:
			checkpoint, deadline = status.CheckPoint, time.Now().Add(startTime)
		case time.Now().After(deadline):
			return reason.Err("no-checkpoint", "time", startTime)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// stopAndWait stops a service, and waits for its end with a limit. The library's own wait has none.
func stopAndWait(n Instance) error {
	s, err := open(n, windows.SERVICE_STOP|windows.SERVICE_QUERY_STATUS)
	if err != nil {
		return err
	}
	defer s.Close()
	return stopWhenPossible(stoppable{s}, stopTime)
}

// stoppable is a service for stopWhenPossible.
type stoppable struct{ *mgr.Service }

func (s stoppable) stop() (bool, error) {
	_, err := s.Control(svc.Stop)
	if errors.Is(err, windows.ERROR_SERVICE_CANNOT_ACCEPT_CTRL) {
		return false, nil // it is starting or stopping
	}
	if errors.Is(err, windows.ERROR_SERVICE_NOT_ACTIVE) {
		return true, nil
	}
	return err == nil, err
}

func (s stoppable) stopped() (bool, error) {
	status, err := s.Query()
	return err == nil && status.State == svc.Stopped, err
}

// WhereToLook returns the log with the reasons of a failure.
func WhereToLook(Instance) string {
	return fmt.Sprintf("Event Viewer, Windows Logs, Application, source %s", eventSource)
}

// Ask returns the manager's state of a service; any account may ask.
func Ask(n Instance) (State, error) {
	state := State{Service: n.Service()}
	s, err := open(n, windows.SERVICE_QUERY_STATUS|windows.SERVICE_QUERY_CONFIG)
	if errors.Is(err, windows.ERROR_SERVICE_DOES_NOT_EXIST) {
		return state, nil
	}
	if err != nil {
		return state, err
	}
	defer s.Close()
	status, err := s.Query()
	if err != nil {
		return state, fmt.Errorf("ask for %s: %w", n.Service(), err)
	}
	var buffer [1 << 10]uint64 // maximum size of an answer; Wine lacks some queries of mgr.Config
	config, size := (*windows.QUERY_SERVICE_CONFIG)(unsafe.Pointer(&buffer[0])), uint32(0)
	if err := windows.QueryServiceConfig(s.Handle, config, uint32(unsafe.Sizeof(buffer)),
		&size); err != nil {
		return state, fmt.Errorf("ask for %s: %w", n.Service(), err)
	}
	state.Installed, state.Running = true, status.State == svc.Running
	state.Changing = !state.Running && status.State != svc.Stopped
	state.Boot, state.Account, state.Process = config.StartType == mgr.StartAutomatic,
		windows.UTF16PtrToString(config.ServiceStartName), int(status.ProcessId)
	if words, err := windows.DecomposeCommandLine(
		windows.UTF16PtrToString(config.BinaryPathName)); err == nil {
		state.Folder = after(words, "--dir")
	}
	if code := max(status.Win32ExitCode, status.ServiceSpecificExitCode); !state.isBusy() &&
		code != 0 && code != uint32(windows.ERROR_SERVICE_NEVER_STARTED) {
		state.Failure = fmt.Sprintf("exit code %d", code)
	}
	return state, nil
}

// after returns the word after another one.
func after(words []string, word string) string {
	if n := slices.Index(words, word); n >= 0 && n+1 < len(words) {
		return words[n+1]
	}
	return ""
}

// services returns the services of one kind.
func services(kind string) (all []State, err error) {
	h, err := windows.OpenSCManager(nil, nil,
		windows.SC_MANAGER_CONNECT|windows.SC_MANAGER_ENUMERATE_SERVICE)
	if err != nil {
		return nil, fmt.Errorf("open the service manager: %w", err)
	}
	m := mgr.Mgr{Handle: h}
	defer m.Disconnect() //nolint:errcheck // only read from
	names, err := m.ListServices()
	for _, service := range names {
		name, ok := strings.CutPrefix(service, Instance{Kind: kind}.Service())
		if !ok {
			continue
		}
		state, err := Ask(Instance{Kind: kind, Name: name})
		if err != nil {
			return all, err
		}
		all = append(all, state)
	}
	return all, err
}

// open opens a service with the given rights.
func open(n Instance, rights uint32) (*mgr.Service, error) {
	m, err := windows.OpenSCManager(nil, nil, windows.SC_MANAGER_CONNECT)
	if err != nil {
		return nil, fmt.Errorf("open the service manager: %w", err)
	}
	defer windows.CloseServiceHandle(m)
	name, err := windows.UTF16PtrFromString(n.Service())
	if err != nil {
		return nil, err
	}
	h, err := windows.OpenService(m, name, rights)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", n.Service(), err)
	}
	return &mgr.Service{Handle: h, Name: n.Service()}, nil
}
