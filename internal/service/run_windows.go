package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/windows/svc"
)

// The exit codes of a service in its manager.
const (
	exitClean  = 0
	exitFailed = 1
)

// Run runs a daemon until the context ends or, as a service, until the manager asks it to stop. It
// logs errors of that to log.
func Run(ctx context.Context, d Daemon, log *slog.Logger) error {
	as, err := d.Managed, error(nil)
	if !as {
		as, err = svc.IsWindowsService()
	}
	if err != nil {
		return fmt.Errorf("find out whether this is a service: %w", err)
	}
	if !as {
		return d.Run(ctx)
	}
	h := &handler{ctx: ctx, daemon: d, log: log}
	// a process of its own has one service, and the manager knows its name
	return errors.Join(svc.Run("", h), h.err)
}

// handler is the service's side of the service manager.
type handler struct {
	ctx    context.Context
	daemon Daemon
	log    *slog.Logger
	err    error
}

const accepted = svc.AcceptStop | svc.AcceptShutdown | svc.AcceptPreShutdown

// Execute implements svc.Handler. It reports a failed daemon with an exit code of its own, so that
// the recovery actions restart it; a displaced one ends as if it had been asked to stop.
func (h *handler) Execute(_ []string, requests <-chan svc.ChangeRequest,
	status chan<- svc.Status) (bool, uint32) {
	ready, stop, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	watching, enough := context.WithCancel(h.ctx)
	own := ownWatchdog{limit: hungTime, probe: h.daemon.Alive, ready: func() {
		close(ready)
	}, hung: h.hung}
	w := watcher{probe: h.daemon.Alive, every: hungTime / 3, say: own.hear, log: h.log}
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		w.run(watching)
	}()
	listened := make(chan struct{})
	go func() {
		defer close(listened)
		h.listen(requests, status, stop, done)
	}()
	h.err = attend(h.ctx, h.daemon.Run, ready, stop, func(r report) { status <- statusOf(r) })
	close(done)
	enough()
	<-watched
	own.enough()
	<-listened
	if h.err != nil {
		h.log.Error("service ended", "error", h.err)
	}
	if h.err == nil || errors.Is(h.err, ErrDisplaced) {
		return false, exitClean
	}
	return true, exitFailed
}

// hungTime is the longest time without an answer of the daemon; systemd's units have the same.
const hungTime = time.Minute

// hung ends a daemon that no longer answers. For the manager this is a crash, and it restarts it.
func (h *handler) hung() {
	h.log.Error("it has not answered for a minute, and is ended", "trace", trace())
	os.Exit(exitFailed)
}

// trace returns the stacks of all goroutines, cut to the size of an entry of the event log.
func trace() string {
	buffer := make([]byte, 24<<10)
	return string(buffer[:runtime.Stack(buffer, true)])
}

// listen handles the manager's requests until the daemon ends.
func (h *handler) listen(requests <-chan svc.ChangeRequest, status chan<- svc.Status,
	stop chan<- struct{}, done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		case r := <-requests:
			switch r.Cmd {
			case svc.Interrogate:
				status <- r.CurrentStatus
			case svc.Stop, svc.Shutdown, svc.PreShutdown:
				if stop != nil {
					close(stop)
					stop = nil
				}
			}
		}
	}
}

func statusOf(r report) svc.Status {
	s := svc.Status{CheckPoint: r.checkpoint, WaitHint: uint32(r.hint.Milliseconds())}
	switch r.phase {
	case startPending:
		s.State = svc.StartPending
	case running:
		s.State, s.Accepts = svc.Running, accepted
	case stopPending:
		s.State = svc.StopPending
	}
	return s
}
