package service

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/mgr"
)

// DefaultUser is empty: the service runs as LocalSystem, which the access lists of keys and ledger let in.
const DefaultUser = ""

// logArguments send the log to the event log, as a service has no standard error.
func logArguments() []string { return []string{"--log-format", "eventlog"} }

// failuresForgotten is how long a service must have run for the first pause to come again.
const failuresForgotten = 24 * time.Hour

// mayManage asks for administrator's rights.
func mayManage() error {
	if !windows.GetCurrentProcessToken().IsElevated() {
		return errors.New("only an administrator may change services: run the same command in a window that was opened with \"Run as administrator\"")
	}
	return nil
}

func managerUser(i Installation) string { return i.User }

// makeRoom takes an earlier installation away, so that it can be made anew.
func makeRoom(i Installation) (bool, error) {
	state, err := Ask(i.Instance)
	if err != nil || !state.Installed {
		return false, err
	}
	if state.Running {
		return true, fmt.Errorf("%s runs; stop it first: sealpost %s stop --name %s", i.Service(), i.Kind, i.Name)
	}
	return true, remove(i.Instance)
}

// setUpFolders lets an account of its own into the folders; LocalSystem is in already.
func setUpFolders(i Installation) []string {
	if i.User == "" {
		return nil
	}
	var left []string
	for _, folder := range append([]string{i.Dir}, i.Shared...) {
		left = append(left, fmt.Sprintf(`icacls "%s" /grant "%s:(OI)(CI)M"`, folder, i.User))
	}
	return append(left, fmt.Sprintf(`icacls "%s" /grant "%s:(OI)(CI)F" /T`, i.State, i.User),
		fmt.Sprintf(`sc.exe config "%s" obj= "%s" password= *   (or set the password in services.msc)`, i.Service(), i.User))
}

// finishInstall sets what the library leaves out: a recovery that waits longer each time and comes for every end with an
// error, and time to hand back when the machine shuts down.
func finishInstall(i Installation) error {
	if err := registerEvents(); err != nil {
		return err
	}
	s, err := open(i.Instance, windows.SERVICE_CHANGE_CONFIG|windows.SERVICE_START)
	if err != nil {
		return err
	}
	defer s.Close()
	var actions []mgr.RecoveryAction
	for _, delay := range restartDelays {
		actions = append(actions, mgr.RecoveryAction{Type: mgr.ServiceRestart, Delay: delay})
	}
	if err := s.SetRecoveryActions(actions, uint32(failuresForgotten.Seconds())); err != nil {
		return fmt.Errorf("recovery of %s: %w", i.Service(), err)
	}
	if err := s.SetRecoveryActionsOnNonCrashFailures(true); err != nil {
		return fmt.Errorf("recovery of %s: %w", i.Service(), err)
	}
	info := struct{ timeout uint32 }{uint32(stopTime.Milliseconds())} // SERVICE_PRESHUTDOWN_INFO
	if err := windows.ChangeServiceConfig2(s.Handle, windows.SERVICE_CONFIG_PRESHUTDOWN_INFO, (*byte)(unsafe.Pointer(&info))); err != nil {
		return fmt.Errorf("shutdown of %s: %w", i.Service(), err)
	}
	return nil
}

// stopAndWait asks a service to stop, and waits until it has. The library's own wait has no end.
func stopAndWait(n Instance) error {
	s, err := open(n, windows.SERVICE_STOP|windows.SERVICE_QUERY_STATUS)
	if err != nil {
		return err
	}
	defer s.Close()
	status, err := s.Control(svc.Stop)
	for deadline := time.Now().Add(stopTime); err == nil && status.State != svc.Stopped; status, err = s.Query() {
		if time.Now().After(deadline) {
			return fmt.Errorf("it has not stopped within %s", stopTime)
		}
		time.Sleep(100 * time.Millisecond)
	}
	return err
}

func whereToLook(Instance) string {
	return fmt.Sprintf("; see why in the Event Viewer, Windows Logs, Application, source %s", eventSource)
}

// Ask asks the manager how a service stands; anybody may.
func Ask(n Instance) (State, error) {
	state := State{Service: n.Service()}
	s, err := open(n, windows.SERVICE_QUERY_STATUS)
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
	state.Installed, state.Running = true, status.State != svc.Stopped
	return state, nil
}

// open opens a service with no more rights than are needed.
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
