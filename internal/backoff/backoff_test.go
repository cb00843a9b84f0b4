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
		b := Backoff{Min: time.Millisecond, Max: time.Hour}
		for range 30 {
			b.Next() // up to the bound
		}
		for _, asked := range []time.Duration{time.Minute, time.Second} {
			start := time.Now()
			err := b.Wait(context.Background(), asked)
			if took := time.Since(start); err != nil || took < asked || took > asked+asked/4 {
				t.Errorf("asked to come again after %s it waited %s: %v", asked, took, err)
			}
		}
		if d := b.Next(); d > b.Min {
			t.Errorf("then it waits %s", d)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := b.Wait(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}
