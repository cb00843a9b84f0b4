package certs

import (
	"testing"
	"time"
)

func TestCheckClock(t *testing.T) {
	for _, off := range []time.Duration{0, 10 * time.Minute, -10 * time.Minute} {
		if err := CheckClock(now, now.Add(off)); err != nil {
			t.Errorf("%s apart: %v", off, err)
		}
	}
	wantError(t, CheckClock(now, now.Add(3*time.Hour)), ErrClock, "3 hours ahead of the hub's")
	wantError(t, CheckClock(now, now.Add(-11*time.Minute)), ErrClock, "11 min behind the hub's")
}
