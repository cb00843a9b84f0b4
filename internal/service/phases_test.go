package service

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestPhasesOfAService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ready, stop := make(chan struct{}), make(chan struct{})
		var told []report
		ended := make(chan error, 1)
		run := func(ctx context.Context) error {
			<-ctx.Done()
			time.Sleep(2500 * time.Millisecond) // hands back
			return nil
		}
		go func() {
			ended <- attend(t.Context(), run, ready, stop,
				func(r report) { told = append(told, r) })
		}()
		time.Sleep(2500 * time.Millisecond)
		close(ready)
		time.Sleep(time.Hour)
		close(stop)
		if err := <-ended; err != nil {
			t.Error(err)
		}
		var got []report
		for _, r := range told {
			if r.phase != running && r.hint <= checkpointTime {
				t.Errorf("%+v promises less than the time between two checkpoints", r)
			}
			got = append(got, report{phase: r.phase, checkpoint: r.checkpoint})
		}
		want := []report{{phase: startPending}, {phase: startPending, checkpoint: 1},
			{phase: startPending, checkpoint: 2}, {phase: running},
			{phase: stopPending}, {phase: stopPending, checkpoint: 1},
			{phase: stopPending, checkpoint: 2}}
		if len(got) == len(want)+1 {
			got = got[:len(want)] // the tick and the end may fall together
		}
		if !slices.Equal(got, want) {
			t.Errorf("told %v, want %v", got, want)
		}
	})
}

func TestStopBeforeReadyNeverSaysRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ready, stop := make(chan struct{}), make(chan struct{})
		var told []phase
		run := func(ctx context.Context) error {
			<-ctx.Done()
			close(ready)
			time.Sleep(time.Second)
			return nil
		}
		close(stop)
		if err := attend(t.Context(), run, ready, stop, func(r report) {
			told = append(told, r.phase)
		}); err != nil {
			t.Error(err)
		}
		if slices.Contains(told, running) || !slices.Contains(told, stopPending) {
			t.Errorf("told %v", told)
		}
	})
}

func TestDaemonThatFailsEndsTheService(t *testing.T) {
	broken := errors.New("ledger")
	err := attend(t.Context(), func(context.Context) error {
		return broken
	}, nil, nil, func(report) {})
	if !errors.Is(err, broken) {
		t.Errorf("ended with %v", err)
	}
}

func TestRecoveryWaitsLongerEachTime(t *testing.T) {
	if !slices.IsSorted(restartDelays) || len(restartDelays) != 3 ||
		restartDelays[0] > 10*time.Second {
		t.Errorf("the manager takes three pauses, the first of seconds: %v", restartDelays)
	}
}
