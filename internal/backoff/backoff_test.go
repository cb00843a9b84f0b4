package backoff

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestStepsGrowToTheBoundAndStartAgain(t *testing.T) {
	b := Backoff{Min: 10 * time.Millisecond, Max: time.Second}
	step := b.Min
	for range 20 {
		if d := b.Next(); d < step/2 || d > step {
			t.Fatalf("waits %s at step %s", d, step)
		}
		step = min(step*2, b.Max)
	}
	b.Reset()
	if d := b.Next(); d > b.Min {
		t.Errorf("after a reset it waits %s", d)
	}
}

func TestWaitHonoursWhatTheOtherSideAskedForAndTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := Backoff{Min: time.Millisecond, Max: time.Second}
		start := time.Now()
		if err := b.Wait(context.Background(), time.Minute); err != nil || time.Since(start) != time.Minute {
			t.Errorf("waited %s: %v", time.Since(start), err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := b.Wait(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}
