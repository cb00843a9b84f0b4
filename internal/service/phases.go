package service

import (
	"context"
	"time"
)

// What a Windows service tells its manager, without a word of Windows, so that it can be tested anywhere.
type phase int

const (
	startPending phase = iota
	running
	stopPending
)

// checkpointTime is how often a pending phase shows that it goes on; the manager gives up on one that does not.
const checkpointTime = time.Second

// report is one line to the manager. A checkpoint grows while a phase is pending.
type report struct {
	phase      phase
	checkpoint uint32
	hint       time.Duration // how long until the next at most
}

// attend runs a daemon and reports its phases: start pending until ready, running, stop pending from the request to stop
// until the daemon has ended. It returns when the daemon has, with its error.
func attend(ctx context.Context, run func(context.Context) error, ready, stop <-chan struct{}, tell func(report)) error {
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

// restartDelays are the pauses before the manager starts a failed service again: the first, the second, every further time.
var restartDelays = []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute}
