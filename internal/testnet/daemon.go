package testnet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"sealpost/internal/testkit"
)

// Daemon is a hub or an agent that a story starts, stops and kills. Its log goes on over all its
// lives.
type Daemon struct {
	T          testing.TB
	Command    []string             // of its process; empty: it runs in this one
	File       string               // its process's log
	Attributes *syscall.SysProcAttr // of its process

	name    string
	serve   func(*slog.Logger) (run func(context.Context) error, err error) // in this process
	journal testkit.Journal                                                 // this process's log

	process *os.Process   // the latest; nil in this process
	stop    func() error  // asks it to end
	done    chan struct{} // closed when it has ended
	err     error         // how it ended; valid after done
}

// NewProcess returns a daemon that is a process of a program, and does not run yet.
func NewProcess(t testing.TB, name, file, program string, args ...string) *Daemon {
	return newDaemon(t, name, file, append([]string{program}, args...)...)
}

func newDaemon(t testing.TB, name, file string, command ...string) *Daemon {
	d := &Daemon{T: t, Command: command, File: file, Attributes: attributes(), name: name}
	d.begin()
	return d
}

// begin ends the daemon with the test, and shows its log if the test fails.
func (d *Daemon) begin() {
	d.T.Cleanup(func() {
		switch {
		case !d.Running():
		case len(d.Command) > 0:
			d.Kill()
		default:
			d.Stop()
		}
		if d.T.Failed() {
			d.T.Logf("--- log of %s (its end) ---\n%s", d.name, tail(d.Log(), 60))
		}
	})
}

func tail(text string, lines int) string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// Start runs the daemon. A process gets more variables for its environment if a story wants that.
func (d *Daemon) Start(env ...string) {
	d.T.Helper()
	if d.Running() {
		d.T.Fatalf("%s runs already", d.name)
	}
	if len(d.Command) == 0 {
		d.startHere()
		return
	}
	log, err := os.OpenFile(d.File, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	testkit.Must(d.T, err)
	defer log.Close()
	fmt.Fprintf(log, "--- start of %s %v\n", d.name, env)
	cmd := exec.Command(d.Command[0], d.Command[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = d.Attributes
	testkit.Must(d.T, cmd.Start())
	d.process = cmd.Process
	d.stop = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	d.follow(cmd.Wait)
}

func (d *Daemon) startHere() {
	d.T.Helper()
	level := slog.LevelInfo
	if testing.Verbose() {
		level = slog.LevelDebug
	}
	run, err := d.serve(
		slog.New(slog.NewTextHandler(&d.journal, &slog.HandlerOptions{Level: level})))
	testkit.Must(d.T, err)
	ctx, cancel := context.WithCancel(context.Background())
	d.stop = func() error { cancel(); return nil }
	d.follow(func() error { return run(ctx) })
}

func (d *Daemon) follow(wait func() error) {
	d.done = make(chan struct{})
	go func(done chan struct{}) {
		d.err = wait()
		close(done)
	}(d.done)
}

// Running reports whether the daemon has been started and has not ended.
func (d *Daemon) Running() bool {
	if d.done == nil {
		return false
	}
	select {
	case <-d.done:
		return false
	default:
		return true
	}
}

// Stop asks the daemon to end, and waits until it has ended well.
func (d *Daemon) Stop() {
	d.T.Helper()
	if !d.Running() {
		d.T.Fatalf("%s does not run any more: %v", d.name, d.err)
	}
	testkit.Must(d.T, d.stop())
	if err := d.Ended(); err != nil {
		d.T.Fatalf("%s does not stop well: %v", d.name, err)
	}
}

// Kill ends a process as a power cut does.
func (d *Daemon) Kill() {
	d.T.Helper()
	if err := d.Process().Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		d.T.Fatal(err)
	}
	d.Ended() //nolint:errcheck // it was killed
}

// Process returns the daemon's process, which must have been started.
func (d *Daemon) Process() *os.Process {
	d.T.Helper()
	if d.process == nil {
		d.T.Fatalf("%s is no process of its own", d.name)
	}
	return d.process
}

// Ended waits until the daemon has ended, and returns its error.
func (d *Daemon) Ended() error {
	d.T.Helper()
	select {
	case <-d.done:
		return d.err
	case <-time.After(testkit.Patience):
		d.T.Fatalf("%s does not end", d.name)
		return nil
	}
}

// Log returns the whole log.
func (d *Daemon) Log() string {
	if len(d.Command) == 0 {
		return d.journal.String()
	}
	text, err := os.ReadFile(d.File)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// answers waits until the daemon's control socket does, or the daemon has died by itself.
func (d *Daemon) answers(ask func() error) {
	d.T.Helper()
	testkit.Eventually(d.T, d.name+" answers", func() bool { return !d.Running() || ask() == nil })
}

// Says reports whether a text stands in the log.
func (d *Daemon) Says(text string) bool { return d.Count(text) > 0 }

// Count returns how often a text stands in the log.
func (d *Daemon) Count(text string) int { return strings.Count(d.Log(), text) }
