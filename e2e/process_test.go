//go:build linux

package e2e

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"sealpost/internal/testnet"
)

// daemon is one `sealpost … run`, which a story starts, stops and kills.
type daemon struct {
	*testnet.Daemon
	t    testing.TB
	name string
}

func newDaemon(t testing.TB, name, log, bin string, args ...string) *daemon {
	d := &daemon{t: t, name: name}
	t.Cleanup(func() {
		if _, err := os.Stat(log); err == nil && d.Says("DATA RACE") {
			t.Errorf("%s has a data race", name)
		}
	})
	d.Daemon = testnet.NewProcess(t, name, log, bin, args...)
	return d
}

func (d *daemon) running() bool { return d.Running() }

// Dies waits until it has ended by itself, and returns its error.
func (d *daemon) Dies() error { d.t.Helper(); return d.Ended() }

// run carries out one command line and returns its output and its exit code.
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
