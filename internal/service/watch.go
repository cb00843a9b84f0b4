package service

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

const (
	askReady  = 100 * time.Millisecond // between two questions until the daemon serves
	readyTime = 10 * time.Second       // for one such question
)

// watcher asks a daemon whether it is alive, and hands on what it hears.
type watcher struct {
	alive func(context.Context) error
	every time.Duration // between two signs of life; 0: none are wanted
	say   func(state string) error
	log   *slog.Logger
}

// run says READY=1 once the daemon has answered, then WATCHDOG=1 for every further answer, until the context ends. A daemon
// that answers no more gets no sign of life from here, and is killed by the one who waits for it.
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
				w.tell("STATUS=not alive: " + oneLine(err))
			}
			continue
		}
		w.tell("WATCHDOG=1")
	}
}

// untilReady waits for the first answer, or tells that the context has ended before.
func (w watcher) untilReady(ctx context.Context) bool {
	said := ""
	for {
		err := w.ask(ctx, readyTime)
		if err == nil {
			return true
		}
		if text := oneLine(err); text != said && ctx.Err() == nil {
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
	return w.alive(ctx)
}

func (w watcher) tell(state string) {
	if err := w.say(state); err != nil {
		w.log.Error("service manager", "error", err)
	}
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// ownWatchdog ends a daemon that answers no more where the manager would not notice. It hears what a watcher says.
type ownWatchdog struct {
	limit time.Duration // between two signs of life
	alive func(context.Context) error
	ready func() // the daemon serves
	hung  func() // it has not shown that it lives in time, and does not when asked once more

	mu    sync.Mutex  // guards timer
	timer *time.Timer // nil: nobody is waited for, not yet or no more
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

// askAgain gives one more chance: a computer that wakes up has let much time pass, and nobody could have answered.
func (o *ownWatchdog) askAgain() {
	if (watcher{alive: o.alive}).ask(context.Background(), readyTime) == nil {
		o.lives()
		return
	}
	o.mu.Lock()
	waiting := o.timer != nil // it may have ended by itself while it was asked
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

// runWatched runs a daemon that is watched meanwhile, and says when it begins to stop.
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
		w.tell("STATUS=" + oneLine(err))
	}
	return err
}
