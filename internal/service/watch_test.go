package service

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// systemd is the other side: it records a daemon's states.
type systemd struct {
	mu    sync.Mutex // guards heard
	heard []string
}

func (s *systemd) say(state string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = append(s.heard, state)
	return nil
}

// take returns the states since the last call.
func (s *systemd) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	heard := s.heard
	s.heard = nil
	return heard
}

func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("said %q, want %q", got, want)
	}
}

// untilStopped is a daemon that ends with err after the context has ended, and takes a second for
// it.
func untilStopped(err error) func(context.Context) error {
	return func(ctx context.Context) error {
		<-ctx.Done()
		time.Sleep(time.Second)
		return err
	}
}

func TestReadyComesWithTheFirstAnswerAndLifeWithEachFurtherOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s systemd
		var trouble atomic.Value // of the daemon; an empty text: none
		trouble.Store("no listener\nyet")
		probe := func(context.Context) error {
			if text := trouble.Load().(string); text != "" {
				return errors.New(text)
			}
			return nil
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- runWatched(ctx, Daemon{Run: untilStopped(nil), Alive: probe},
				watcher{probe: probe, every: 10 * time.Second, say: s.say,
					log: slog.New(slog.DiscardHandler)})
		}()
		time.Sleep(time.Minute)
		expect(t, s.take(), "STATUS=not ready: no listener; yet")
		trouble.Store("")
		time.Sleep(time.Second)
		expect(t, s.take(), "READY=1\nSTATUS=serving")
		time.Sleep(20 * time.Second)
		expect(t, s.take(), "WATCHDOG=1", "WATCHDOG=1")
		trouble.Store("ledger stuck")
		time.Sleep(10 * time.Second)
		expect(t, s.take(), "STATUS=not alive: ledger stuck")
		trouble.Store("")
		time.Sleep(10 * time.Second)
		expect(t, s.take(), "WATCHDOG=1")
		stop()
		synctest.Wait()
		expect(t, s.take(), "STOPPING=1\nSTATUS=handing back what is under way")
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestQuestionThatHangsGivesNoSignOfLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s systemd
		asked := 0
		probe := func(ctx context.Context) error {
			if asked++; asked == 1 {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- runWatched(ctx, Daemon{Run: untilStopped(nil)},
				watcher{probe: probe, every: time.Second, say: s.say,
					log: slog.New(slog.DiscardHandler)})
		}()
		time.Sleep(time.Minute)
		if heard := strings.Join(s.take(), "|"); strings.Contains(heard, "WATCHDOG=1") ||
			!strings.Contains(heard, "not alive: context deadline exceeded") {
			t.Errorf("said %q", heard)
		}
		stop()
		<-ended
	})
}

func TestWithoutWatchdogNoSignsOfLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s systemd
		probe := func(context.Context) error { return nil }
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- runWatched(ctx, Daemon{Run: untilStopped(nil)},
				watcher{probe: probe, say: s.say, log: slog.New(slog.DiscardHandler)})
		}()
		time.Sleep(time.Hour)
		expect(t, s.take(), "READY=1\nSTATUS=serving")
		stop()
		<-ended
	})
}

func TestDaemonThatEndsByItselfIsNotSaidToStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s systemd
		broken := errors.New("disk\nfull")
		run := func(context.Context) error { return broken }
		never := func(context.Context) error { return errors.New("no") }
		err := runWatched(t.Context(), Daemon{Run: run},
			watcher{probe: never, say: s.say, log: slog.New(slog.DiscardHandler)})
		if !errors.Is(err, broken) {
			t.Errorf("ended with %v", err)
		}
		heard := s.take()
		if last := heard[len(heard)-1]; last != "STATUS=disk; full" ||
			slices.ContainsFunc(heard, func(h string) bool {
				return strings.HasPrefix(h, "STOPPING")
			}) {
			t.Errorf("said %q", heard)
		}
	})
}

func TestManagerThatCannotBeToldIsLogged(t *testing.T) {
	var b strings.Builder
	w := watcher{say: func(string) error {
		return errors.New("no such socket")
	}, log: slog.New(slog.NewTextHandler(&b, nil))}
	w.tell("READY=1")
	if !strings.Contains(b.String(), "no such socket") {
		t.Errorf("log: %s", b.String())
	}
}

func TestOwnWatchdogEndsADaemonThatAnswersNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var answers atomic.Bool
		answers.Store(true)
		probe := func(ctx context.Context) error {
			if answers.Load() {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}
		began := time.Now()
		var ready atomic.Bool
		var after atomic.Int64 // it was ended; 0: not yet
		own := ownWatchdog{limit: time.Minute, probe: probe, ready: func() {
			ready.Store(true)
		}, hung: func() { after.Store(int64(time.Since(began))) }}
		w := watcher{probe: probe, every: 20 * time.Second, say: own.hear,
			log: slog.New(slog.DiscardHandler)}
		ctx, stop := context.WithCancel(t.Context())
		watched := make(chan struct{})
		go func() {
			defer close(watched)
			w.run(ctx)
		}()
		time.Sleep(time.Hour)
		if !ready.Load() || after.Load() != 0 {
			t.Fatalf("ready %t, ended after %s", ready.Load(), time.Duration(after.Load()))
		}
		answers.Store(false)
		time.Sleep(time.Minute + readyTime + time.Second)
		if hung := time.Duration(after.Load()); hung < time.Hour+30*time.Second || hung > time.Hour+
			time.Minute+readyTime {
			t.Errorf("ended after %s, one hour of it alive", hung)
		}
		stop()
		<-watched
		own.enough()
	})
}

func TestOwnWatchdogAsksOnceMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hung atomic.Bool
		own := ownWatchdog{limit: time.Minute, probe: func(context.Context) error {
			return nil
		}, ready: func() {}, hung: func() { hung.Store(true) }}
		own.hear("READY=1\nSTATUS=serving")
		time.Sleep(time.Hour) // no question was asked, as when the computer sleeps
		own.enough()
		time.Sleep(time.Hour)
		if hung.Load() {
			t.Error("ended although it answers")
		}
	})
}

func TestOwnWatchdogOfADaemonThatEndsMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hung atomic.Bool
		probe := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		own := ownWatchdog{limit: time.Minute, probe: probe, ready: func() {}, hung: func() {
			hung.Store(true)
		}}
		own.hear("READY=1\nSTATUS=serving")
		time.Sleep(time.Minute + readyTime/2) // it is being asked once more
		own.enough()
		time.Sleep(time.Minute)
		if hung.Load() {
			t.Error("ended although it has ended by itself")
		}
	})
}

func TestOwnWatchdogOfADaemonThatNeverServed(t *testing.T) {
	own := ownWatchdog{}
	own.hear("STATUS=not ready: no")
	own.enough()
}
