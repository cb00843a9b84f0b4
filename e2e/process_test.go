//go:build linux

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"sealpost/internal/testkit"
)

// daemon is one `sealpost … run`, which a story starts, stops and kills. Its log goes on over all its lives.
type daemon struct {
	t    testing.TB
	name string
	args []string
	log  string              // the log's file
	as   *syscall.Credential // nil: the account of the test
	caps []uintptr           // capabilities that it has all the same
	bin  string

	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // how it ended; valid after done
}

func newDaemon(t testing.TB, name, log, bin string, args ...string) *daemon {
	d := &daemon{t: t, name: name, args: args, log: log, bin: bin}
	t.Cleanup(func() {
		if d.running() {
			d.Kill()
		}
		if _, err := os.Stat(log); err == nil && d.Says("DATA RACE") {
			t.Errorf("%s has a data race", name)
		}
		if t.Failed() {
			t.Logf("--- log of %s (its end) ---\n%s", name, testkit.Tail(log, 60))
		}
	})
	return d
}

// Start runs it, with more in its environment if a story wants that.
func (d *daemon) Start(env ...string) {
	d.t.Helper()
	if d.running() {
		d.t.Fatalf("%s runs already", d.name)
	}
	log, err := os.OpenFile(d.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	must(d.t, err)
	defer log.Close()
	fmt.Fprintf(log, "--- start of %s %v\n", d.name, env)
	d.cmd = exec.Command(d.bin, d.args...)
	d.cmd.Env = append(os.Environ(), env...)
	d.cmd.Stdout, d.cmd.Stderr = log, log
	d.cmd.SysProcAttr = d.attributes()
	must(d.t, d.cmd.Start())
	d.done = make(chan struct{})
	go func(cmd *exec.Cmd, done chan struct{}) {
		d.err = cmd.Wait()
		close(done)
	}(d.cmd, d.done)
}

func (d *daemon) attributes() *syscall.SysProcAttr {
	// It ends with the test, whatever ends that.
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Credential: d.as, AmbientCaps: d.caps}
}

func (d *daemon) running() bool {
	if d.cmd == nil {
		return false
	}
	select {
	case <-d.done:
		return false
	default:
		return true
	}
}

// Kill ends it as a power cut would.
func (d *daemon) Kill() {
	d.t.Helper()
	if err := d.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		d.t.Fatal(err)
	}
	d.ended()
}

// Stop asks it to end, and wants it to end well.
func (d *daemon) Stop() {
	d.t.Helper()
	if !d.running() {
		d.t.Fatalf("%s does not run any more: %v", d.name, d.err)
	}
	must(d.t, d.cmd.Process.Signal(syscall.SIGTERM))
	if err := d.ended(); err != nil {
		d.t.Fatalf("%s does not stop well: %v", d.name, err)
	}
}

// Dies waits until it has ended by itself, and returns how.
func (d *daemon) Dies() error {
	d.t.Helper()
	return d.ended()
}

func (d *daemon) ended() error {
	d.t.Helper()
	select {
	case <-d.done:
		return d.err
	case <-time.After(patience):
		d.t.Fatalf("%s does not end", d.name)
		return nil
	}
}

// Says tells whether its log contains the text.
func (d *daemon) Says(text string) bool {
	d.t.Helper()
	log, err := os.ReadFile(d.log)
	must(d.t, err)
	return bytes.Contains(log, []byte(text))
}

// run carries out one command line and returns what it printed, and its exit code.
func run(t testing.TB, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir = t.TempDir()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// sealpost carries out a command line that must succeed.
func sealpost(t testing.TB, args ...string) string {
	t.Helper()
	stdout, stderr, code := run(t, args...)
	if code != 0 {
		t.Fatalf("sealpost %s: exit code %d\n%s%s", strings.Join(args, " "), code, stdout, stderr)
	}
	return stdout
}

// more adds text to a file.
func more(t testing.TB, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteString(text)
	must(t, errors.Join(err, f.Close()))
}
