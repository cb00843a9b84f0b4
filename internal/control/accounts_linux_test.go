package control

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Accounts that this machine does not have.
const (
	serviceID  = 61001
	attackerID = 61004
	annID      = 61003
)

func onlyRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root may act as other accounts")
	}
}

// as runs do with the rights of an account, on a thread that ends with it.
func as(t *testing.T, id int, do func() error) error {
	t.Helper()
	ended := make(chan error)
	go func() {
		runtime.LockOSThread()
		for _, call := range []struct{ number, a, b, c uintptr }{
			{unix.SYS_SETGROUPS, 0, 0, 0},
			{unix.SYS_SETRESGID, uintptr(id), uintptr(id), uintptr(id)},
			{unix.SYS_SETRESUID, uintptr(id), uintptr(id), uintptr(id)},
		} {
			if _, _, failed := unix.RawSyscall(call.number, call.a, call.b, call.c); failed != 0 {
				ended <- failed
				return
			}
		}
		ended <- do()
	}()
	return <-ended
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// stateOf makes a state folder of an account, below a folder that is open to all accounts.
func stateOf(t *testing.T, id int, mode os.FileMode) string {
	t.Helper()
	onlyRoot(t)
	dir := shortDir(t)
	must(t, os.Chmod(dir, 0o755))
	state := filepath.Join(dir, "state")
	must(t, os.Mkdir(state, 0o700))
	must(t, os.Chown(state, id, id))
	must(t, os.Chmod(state, mode))
	return state
}

// falseDaemon listens as another account, and answers whatever is asked.
func falseDaemon(t *testing.T, id int, path string) {
	t.Helper()
	var l net.Listener
	must(t, as(t, id, func() (err error) {
		l, err = net.Listen("unix", path)
		return err
	}))
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte(`{"name":"hello, tell me more"}`)) //nolint:errcheck // a test's answer
	})}
	done := make(chan struct{})
	go func() { defer close(done); server.Serve(l) }() //nolint:errcheck // it ends with Close
	t.Cleanup(func() { server.Close(); <-done })
}

func TestAFalseDaemonIsNotAsked(t *testing.T) {
	for name, mode := range map[string]os.FileMode{"in a folder that was open to it": 0o700,
		"in a folder that is open to it": 0o777} {
		t.Run(name, func(t *testing.T) {
			state := stateOf(t, 0, 0o777)
			falseDaemon(t, attackerID, filepath.Join(state, socketName))
			must(t, os.Chmod(state, mode))
			var answer greeting
			err := Dial(state).Call(t.Context(), "/greet", greeting{"x"}, &answer)
			if err == nil || answer.Name != "" || errors.Is(err, ErrNotRunning) {
				t.Fatalf("it was asked: %v, %q", err, answer.Name)
			}
			t.Log(err)
		})
	}
}

func TestAFalseDaemonBehindATrueSocketIsNotAsked(t *testing.T) {
	state := stateOf(t, 0, 0o777)
	path := filepath.Join(state, socketName)
	falseDaemon(t, attackerID, path)
	must(t, os.Chmod(state, 0o700))
	must(t, os.Chown(path, 0, 0)) // only the peer shows it now
	must(t, os.Chmod(path, 0o600))
	err := Dial(state).Call(t.Context(), "/greet", greeting{"x"}, nil)
	if err == nil || !strings.Contains(err.Error(), "61004") {
		t.Errorf("it was asked: %v", err)
	}
}

func TestAFalseDaemonDoesNotKeepTheTrueOneFromStarting(t *testing.T) {
	state := stateOf(t, 0, 0o777)
	falseDaemon(t, attackerID, filepath.Join(state, socketName))
	must(t, os.Chmod(state, 0o700))
	daemon(t, state)
	var answer greeting
	if err := Dial(state).Call(t.Context(), "/greet", greeting{"x"}, &answer); err != nil ||
		answer.Name != "hello x" {
		t.Errorf("answered %q, %v", answer.Name, err)
	}
}

func TestADaemonOfRootIsAsked(t *testing.T) {
	state := stateOf(t, serviceID, 0o700)
	daemon(t, state)
	if err := Dial(state).Call(t.Context(), "/greet", greeting{"x"}, nil); err != nil {
		t.Error(err)
	}
}

func TestTheSocketsWayIsJudged(t *testing.T) {
	if isAsked(t) {
		return
	}
	state := stateOf(t, 0, 0o700)
	daemon(t, state)
	root := &syscall.Credential{}
	well := func(when string) {
		t.Helper()
		if said := asks(t, state, root); said != "<nil>" {
			t.Errorf("%s it says %s", when, said)
		}
	}
	well("at first")
	above, socket := filepath.Dir(state), filepath.Join(state, socketName)
	for _, c := range []struct {
		name  string
		spoil func() error
		mend  func() error
		says  string
	}{
		{"state folder", func() error {
			return os.Chmod(state, 0o777)
		}, func() error { return os.Chmod(state, 0o700) }, "chmod o-w " + state},
		{"folder above", func() error {
			return os.Chmod(above, 0o777)
		}, func() error { return os.Chmod(above, 0o755) }, "chmod o-w " + above},
		{"owner of the folder above", func() error {
			return os.Chown(above, annID, 0)
		}, func() error { return os.Chown(above, 0, 0) }, "belongs to the account 61003"},
		{"socket", func() error {
			return os.Chmod(socket, 0o622)
		}, func() error { return os.Chmod(socket, 0o600) }, "other accounts may write to it " +
			"(mode 0622)"},
		{"owner of the socket", func() error {
			return os.Chown(socket, annID, 0)
		}, func() error { return os.Chown(socket, 0, 0) }, "it belongs to the account 61003"},
	} {
		must(t, c.spoil())
		if said := asks(t, state, root); !strings.Contains(said, c.says) {
			t.Errorf("%s: it says %s, want %q", c.name, said, c.says)
		}
		// a daemon still knows that it lives
		must(t, Dial(state).Call(t.Context(), "/greet", greeting{"x"}, nil))
		must(t, c.mend())
		well("after " + c.name)
	}
	must(t, os.Chmod(above, 0o777|os.ModeSticky))
	well("below a sticky folder")
}

func TestOtherCallersAreRefused(t *testing.T) {
	state := stateOf(t, 0, 0o700)
	daemon(t, state)
	path := filepath.Join(state, socketName)
	must(t, os.Chmod(state, 0o755)) // as if an admin had opened it meanwhile
	must(t, os.Chmod(path, 0o666))
	ask := func(id int) (text string, err error) {
		var conn net.Conn
		if err := as(t, id, func() (err error) {
			conn, err = net.Dial("unix", path)
			return err
		}); err != nil {
			return "", err
		}
		client := &Client{http: &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
			DialContext: func(context.Context, string, string) (net.Conn, error) {
				return conn, nil
			}}}}
		var answer greeting
		err = client.Call(t.Context(), "/greet", greeting{"x"}, &answer)
		return answer.Name, err
	}
	if name, err := ask(0); err != nil || name != "hello x" {
		t.Errorf("root gets %q, %v", name, err)
	}
	if name, err := ask(annID); err == nil || name != "" ||
		!strings.Contains(err.Error(), "you may not ask this daemon; run the command as the user "+
			"under whom it runs") {
		t.Errorf("another account gets %q, %v", name, err)
	}
}

// asksEnv makes a test a client in a process of its own; it names the state folder.
const asksEnv = "SEALPOST_CONTROL_STATE"

// asks runs the test once more as another account, and returns the text of its client's error.
func asks(t *testing.T, state string, who *syscall.Credential) string {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	program, err := os.ReadFile(self)
	must(t, err)
	dir := shortDir(t)
	must(t, os.Chmod(dir, 0o755))
	at := filepath.Join(dir, "control.test")
	must(t, os.WriteFile(at, program, 0o755))
	cmd := exec.CommandContext(t.Context(), at, "-test.run", "^"+t.Name()+"$", "-test.v")
	cmd.Dir, cmd.Env = dir, []string{asksEnv + "=" + state, "GORACE=atexit_sleep_ms=0"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: who}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	_, said, _ := strings.Cut(string(out), "asked: ")
	said, _, _ = strings.Cut(said, "\n")
	return said
}

// isAsked is the client of asks, in its process.
func isAsked(t *testing.T) bool {
	state := os.Getenv(asksEnv)
	if state != "" {
		t.Logf("asked: %v", Dial(state).Call(t.Context(), "/greet", greeting{"x"}, nil))
	}
	return state != ""
}

func TestWhoMayNotAskIsToldWhoMay(t *testing.T) {
	if isAsked(t) {
		return
	}
	const want = "you may not ask this daemon; run the command as the user under whom it runs: "
	state := stateOf(t, 0, 0o700)
	daemon(t, state)
	stranger := &syscall.Credential{Uid: annID, Gid: annID}
	if said := asks(t, state, stranger); !strings.HasPrefix(said, want) {
		t.Errorf("of root's daemon another account is told %q", said)
	}
	member := &syscall.Credential{Uid: annID, Gid: annID, Groups: []uint32{serviceID}}
	of := stateOf(t, serviceID, 0o750)
	must(t, as(t, serviceID, func() error {
		l, err := net.Listen("unix", filepath.Join(of, socketName))
		if err == nil {
			t.Cleanup(func() { l.Close() })
			err = os.Chmod(filepath.Join(of, socketName), 0o600)
		}
		return err
	}))
	if said := asks(t, of, member); !strings.HasPrefix(said, want) {
		t.Errorf("of the service's daemon a member of its group is told %q", said)
	}
}

// point writes a pointer file as its attacker would, or as a daemon.
func point(t *testing.T, state, at string) {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(state, pointerName), []byte(at+"\n"), 0o600))
}

func expectThere(t *testing.T, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("it is gone: %v", err)
		}
	}
}

// Where another account could swap the socket's folder none is made, as with the XDG_RUNTIME_DIR
// that su leaves to root.
func TestNoSocketIsPlacedInAnotherAccountsFolder(t *testing.T) {
	onlyRoot(t)
	own, anns := shortDir(t), shortDir(t)
	must(t, os.Chown(anns, annID, annID))
	for runtimeDir, placed := range map[string]bool{own: true, anns: false} {
		t.Setenv("XDG_RUNTIME_DIR", runtimeDir)
		state := longDir(t)
		daemon(t, state)
		path, err := readPointer(state, 0)
		must(t, err)
		if in := strings.HasPrefix(path, runtimeDir+"/"); in != placed {
			t.Errorf("with %s of its own %v: it is %s", runtimeDir, placed, path)
		}
		must(t, Dial(state).Call(t.Context(), "/greet", greeting{"x"}, nil))
	}
}

// An older daemon may have placed its socket where another account can swap it: it is neither
// dialled nor removed.
func TestASocketThatAnotherAccountCouldSwapIsLeftAlone(t *testing.T) {
	state := stateOf(t, 0, 0o700)
	anns := shortDir(t)
	folder := filepath.Join(anns, "sealpost-1")
	must(t, os.Mkdir(folder, 0o700))
	path := filepath.Join(folder, socketName)
	falseDaemon(t, 0, path)
	must(t, os.Chown(anns, annID, annID))
	point(t, state, path)
	if err := Dial(state).Call(t.Context(), "/greet", greeting{"x"}, nil); err == nil ||
		!strings.Contains(err.Error(), "is not believed") {
		t.Errorf("a client says %v", err)
	}
	daemon(t, state)
	expectThere(t, path)
	must(t, Dial(state).Call(t.Context(), "/greet", greeting{"x"}, nil))
}

// A pointer of another account is no daemon's, whatever it says.
func TestAPointerOfAnotherAccount(t *testing.T) {
	state, of := longDir(t), stateOf(t, 0, 0o700)
	daemon(t, state)
	path, err := readPointer(state, 0)
	must(t, err)
	point(t, of, path)
	must(t, os.Chown(filepath.Join(of, pointerName), attackerID, 0))
	if err := Dial(of).Call(t.Context(), "/greet", greeting{"x"}, nil); err == nil ||
		!strings.Contains(err.Error(), "belongs to the account 61004") {
		t.Errorf("a client says %v", err)
	}
	daemon(t, of)
	expectThere(t, path)
}
