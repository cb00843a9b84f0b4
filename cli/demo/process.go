package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// stopTime is how long a child may take to stop in good order.
const stopTime = 25 * time.Second

// child is one daemon.
type child struct {
	name    string
	logFile string
	cmd     *exec.Cmd
	ended   chan struct{} // closed when it has ended, by itself or not
	err     error         // the result of its process; valid after ended
	resting bool          // the demo has ended it, and will start it again
}

// nursery starts and ends the daemons. Linux ends a child with the thread that started it, so one
// thread starts them all and lives as long as the nursery.
type nursery struct {
	program  string
	requests chan func()
	done     chan struct{} // closed when the starting thread has ended
	children []*child
}

func newNursery(program string) *nursery {
	n := &nursery{program: program, requests: make(chan func()), done: make(chan struct{})}
	go func() {
		defer close(n.done)
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		for start := range n.requests {
			start()
		}
	}()
	return n
}

// start runs a daemon whose output goes to DIR/log. One that rests takes its old place.
func (n *nursery) start(name, dir string, args ...string) (*child, error) {
	c := &child{name: name, logFile: filepath.Join(dir, "log"), ended: make(chan struct{})}
	log, err := os.OpenFile(c.logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	defer log.Close() // the child has its own
	c.cmd = exec.Command(n.program, args...)
	c.cmd.Stdout, c.cmd.Stderr = log, log
	c.cmd.SysProcAttr = childAttributes()
	started := make(chan error)
	n.requests <- func() { started <- c.cmd.Start() }
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	if i := n.find(name); i >= 0 {
		n.children[i] = c
	} else {
		n.children = append(n.children, c)
	}
	go func() {
		c.err = c.cmd.Wait()
		close(c.ended)
	}()
	return c, nil
}

func (n *nursery) find(name string) int {
	return slices.IndexFunc(n.children, func(c *child) bool { return c.name == name })
}

// rest stops a child until it is started again.
func (n *nursery) rest(name string) error {
	c := n.children[n.find(name)]
	c.resting = true
	return c.stop()
}

// kill ends a child as a power cut would, until it is started again.
func (n *nursery) kill(name string) error {
	c := n.children[n.find(name)]
	c.resting = true
	if err := c.cmd.Process.Kill(); err != nil {
		return fmt.Errorf("kill %s: %w", name, err)
	}
	<-c.ended
	return nil
}

// runs reports whether the demo has started a child and not stopped it.
func (n *nursery) runs(name string) bool {
	i := n.find(name)
	return i >= 0 && !n.children[i].resting
}

// close stops all children and waits for them. It stops the last started first, so that the hub
// outlives the agents.
func (n *nursery) close() error {
	var errs []error
	for i := len(n.children) - 1; i >= 0; i-- {
		errs = append(errs, n.children[i].stop())
	}
	close(n.requests)
	<-n.done
	return errors.Join(errs...)
}

// stop ends one child in good order, or, when that takes too long, at once.
func (c *child) stop() error {
	select {
	case <-c.ended:
		return nil // watch has said so
	default:
	}
	if err := c.cmd.Process.Signal(terminate); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", c.name, err)
	}
	select {
	case <-c.ended:
	case <-time.After(stopTime):
		if err := c.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("kill %s: %w", c.name, err)
		}
		<-c.ended
		return fmt.Errorf("%s did not stop within %s and was killed; see %s", c.name, stopTime,
			c.logFile)
	}
	if c.err != nil {
		return fmt.Errorf("%s ended badly (%w); see %s", c.name, c.err, c.logFile)
	}
	return nil
}

// failed returns an error with the end of the log if a child has ended by itself.
func (n *nursery) failed() error {
	for _, c := range n.children {
		if c.resting {
			continue
		}
		select {
		case <-c.ended:
			return fmt.Errorf("%s has ended by itself (%v); its log %s ends with:\n%s",
				c.name, c.err, c.logFile, tail(c.logFile))
		default:
		}
	}
	return nil
}

// tail returns the last lines of a log.
func tail(path string) string {
	const most = 5
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return "  " + strings.Join(lines[max(0, len(lines)-most):], "\n  ")
}

// command runs one subcommand to its end, as an operator does by hand.
func (n *nursery) command(ctx context.Context, args ...string) error {
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, n.program, args...)
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("sealpost %s: %w\n%s", strings.Join(args, " "), err,
			strings.TrimSpace(stderr.String()))
	}
	return nil
}
