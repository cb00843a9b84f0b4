package service

import (
	"context"
	"time"
)

// phase is the state of a Windows service for its manager. It needs no Windows, so that it can be
// tested anywhere.
type phase int

const (
	startPending phase = iota
	running
	stopPending
)

// checkpointTime is the interval of checkpoints in a pending phase; the manager gives up without
// them.
const checkpointTime = time.Second

// report is one report to the manager. A checkpoint grows while a phase is pending.
type report struct {
	phase      phase
	checkpoint uint32
	hint       time.Duration // longest time to the next one
}

// attend runs a daemon, reports its phases, and returns its error at its end. The phases are start
// pending until ready, running, and stop pending from the request to stop until the end.
func attend(ctx context.Context, run func(context.Context) error, ready, stop <-chan struct{},
	tell func(report)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()

	tick := time.NewTicker(checkpointTime)
	defer tick.Stop()
	now := report{phase: startPending, hint: 10 * checkpointTime}
	tell(now)
	for {
		select {
		case err := <-ended:
			return err
		case <-ready:
			ready = nil
			if now.phase == startPending {
				now = report{phase: running}
				tell(now)
			}
		case <-stop:
			stop = nil
			cancel()
			now = report{phase: stopPending, hint: 10 * checkpointTime}
			tell(now)
		case <-tick.C:
			if now.phase != running {
				now.checkpoint++
				tell(now)
			}
		}
	}
}

// restartDelays holds the pauses before restarts of a failed service: the first, the second, every
// further one.
var restartDelays = []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute}
