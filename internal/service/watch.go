package service

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"sealpost/internal/reason"
)

const (
	askReady  = 100 * time.Millisecond // pause between two questions until the daemon serves
	readyTime = 10 * time.Second       // for one such question
)

// watcher asks a daemon for signs of life, and passes them on.
type watcher struct {
	probe func(context.Context) error
	every time.Duration // pause between two signs of life; 0: none are wanted
	say   func(state string) error
	log   *slog.Logger
}

// run sends READY=1 after the daemon's first answer, then WATCHDOG=1 for every further answer,
// until the context ends. Without an answer it sends no sign of life, and the receiver kills the
// daemon.
func (w watcher) run(ctx context.Context) {
	if !w.untilReady(ctx) {
		return
	}
	w.tell("READY=1\nSTATUS=serving")
	if w.every <= 0 {
		return
	}
	tick := time.NewTicker(w.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := w.ask(ctx, w.every); err != nil {
			if ctx.Err() == nil {
				w.log.Error("not alive", "error", err)
				w.tell("STATUS=not alive: " + oneLine(err).String())
			}
			continue
		}
		w.tell("WATCHDOG=1")
	}
}

// untilReady waits for the first answer, or returns false if the context ends before.
func (w watcher) untilReady(ctx context.Context) bool {
	said := ""
	for {
		err := w.ask(ctx, readyTime)
		if err == nil {
			return true
		}
		if text := oneLine(err).String(); text != said && ctx.Err() == nil {
			said = text
			w.tell("STATUS=not ready: " + text)
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(askReady):
		}
	}
}

func (w watcher) ask(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return w.probe(ctx)
}

func (w watcher) tell(state string) {
	if err := w.say(state); err != nil {
		w.log.Error("service manager", "error", err)
	}
}

// oneLine returns the reason of an error. Lines are joined.
func oneLine(err error) reason.Reason {
	if text := err.Error(); strings.Contains(text, "\n") {
		return reason.Text(strings.ReplaceAll(text, "\n", "; "))
	}
	return reason.Of(err)
}

// ownWatchdog ends a daemon that no longer answers, for managers without a watchdog. It takes the
// signs of a watcher.
type ownWatchdog struct {
	limit time.Duration // between two signs of life
	probe func(context.Context) error
	ready func() // the daemon serves
	hung  func() // called after a missed sign of life and one more unanswered question

	mu    sync.Mutex  // guards timer
	timer *time.Timer // nil: no sign of life is expected
}

func (o *ownWatchdog) hear(state string) error {
	switch {
	case strings.HasPrefix(state, "READY=1"):
		o.mu.Lock()
		o.timer = time.AfterFunc(o.limit, o.askAgain)
		o.mu.Unlock()
		o.ready()
	case state == "WATCHDOG=1":
		o.lives()
	}
	return nil
}

func (o *ownWatchdog) lives() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.timer != nil {
		o.timer.Reset(o.limit)
	}
}

// askAgain asks once more: after the computer has slept, no daemon could have answered in time.
func (o *ownWatchdog) askAgain() {
	if (watcher{probe: o.probe}).ask(context.Background(), readyTime) == nil {
		o.lives()
		return
	}
	o.mu.Lock()
	waiting := o.timer != nil // it may have ended by itself meanwhile
	o.mu.Unlock()
	if waiting {
		o.hung()
	}
}

// enough is called when the daemon has ended by itself.
func (o *ownWatchdog) enough() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.timer != nil {
		o.timer.Stop()
		o.timer = nil
	}
}

// runWatched runs a daemon under a watcher, and reports the start of its stop.
func runWatched(ctx context.Context, d Daemon, w watcher) error {
	watching, enough := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		w.run(watching)
		if ctx.Err() != nil {
			w.tell("STOPPING=1\nSTATUS=handing back what is under way")
		}
	}()
	err := d.Run(ctx)
	enough()
	<-watched
	if err != nil {
		w.tell("STATUS=" + oneLine(err).String())
	}
	return err
}
