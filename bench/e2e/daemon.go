//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"sealpost/bench/room"
)

// daemon is one running daemon of sealpost.
type daemon struct {
	name, dir string
	cmd       *exec.Cmd
	ended     chan struct{}
	err       error // after ended
}

func newDaemon(name, dir string) *daemon {
	return &daemon{name: name, dir: dir, ended: make(chan struct{})}
}

func (d *daemon) start(bin string, args ...string) error {
	log, err := os.Create(filepath.Join(d.dir, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	d.cmd = exec.Command(bin, args...)
	d.cmd.Stdout, d.cmd.Stderr = log, log
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := d.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", d.name, err)
	}
	go func() {
		d.err = d.cmd.Wait()
		close(d.ended)
	}()
	return nil
}

func (d *daemon) pid() int { return d.cmd.Process.Pid }

func (d *daemon) stop() error {
	if d.cmd == nil || d.cmd.Process == nil {
		return nil
	}
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil &&
		!errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-d.ended:
	case <-time.After(setUpTime):
		d.cmd.Process.Kill() //nolint:errcheck // it has ended, or will
		<-d.ended
	}
	if d.err != nil {
		return fmt.Errorf("%s: %w\n%s", d.name, d.err, d.tail())
	}
	return nil
}

func (d *daemon) tail() string {
	text, err := os.ReadFile(filepath.Join(d.dir, "log"))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "\n")
}

// process holds the resources of one process during a measurement.
type process struct {
	Name    string  `json:"name"`
	CPU     float64 `json:"cpu_seconds"`
	Private int64   `json:"peak_private_bytes"`
}

// meter measures processes.
type meter struct {
	daemons []*daemon
	before  []time.Duration
	busy    time.Duration
	peaks   []int64
	stop    chan struct{}
	done    sync.WaitGroup
}

// sampling is the interval of memory samples. They cost the processes nothing and the machine a
// little.
const sampling = 500 * time.Millisecond

func startMeter(daemons []*daemon) (*meter, error) {
	m := &meter{daemons: daemons, peaks: make([]int64, len(daemons)), stop: make(chan struct{})}
	for _, d := range daemons {
		used, err := room.CPU(d.pid())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", d.name, err)
		}
		m.before = append(m.before, used)
	}
	m.busy = room.Busy()
	m.done.Go(m.sample)
	return m, nil
}

func (m *meter) sample() {
	for tick := time.NewTicker(sampling); ; {
		for i, d := range m.daemons {
			m.peaks[i] = max(m.peaks[i], room.Private(d.pid()))
		}
		select {
		case <-m.stop:
			tick.Stop()
			return
		case <-tick.C:
		}
	}
}

// end returns the resources of each process and the processor time of the machine.
func (m *meter) end() (list []process, machine float64, err error) {
	machine = (room.Busy() - m.busy).Seconds()
	for i, d := range m.daemons {
		used, err := room.CPU(d.pid())
		if err != nil {
			return nil, 0, fmt.Errorf("%s: %w", d.name, err)
		}
		list = append(list, process{Name: d.name, CPU: (used - m.before[i]).Seconds()})
	}
	close(m.stop)
	m.done.Wait()
	for i := range list {
		list[i].Private = m.peaks[i]
	}
	return list, machine, nil
}
