package agent

import (
	"testing"
	"time"

	"sealpost/internal/reason"
)

// Nothing is deleted for its age by a clock that may be wrong.
func TestAWrongClockDeletesNothing(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	good, none := Link{Connected: true}, Link{}
	wrong := Link{Connected: true, Clock: reason.New("clock")}
	var g ages
	for _, look := range []struct {
		name string
		at   time.Duration
		link Link
		want bool
	}{
		{"not connected", 0, none, false},
		{"connected", 5 * time.Second, good, true},
		{"just deleted", 10 * time.Second, good, false},
		{"an hour later, with another time at the hub", 50 * time.Minute, good, false},
		{"the hub's clock differs", 70 * time.Minute, wrong, false},
		{"it agrees again", 71 * time.Minute, good, true},
		{"a leap of two years", 17520 * time.Hour, good, false},
		{"soon after it", 17520*time.Hour + 50*time.Minute, good, false},
		{"set back", 3 * time.Hour, good, false},
		{"soon after that", 3*time.Hour + 55*time.Minute, good, false},
		{"the clock has run well for an hour", 4*time.Hour + time.Minute, good, true},
	} {
		if got := g.isDue(start.Add(look.at), look.link); got != look.want {
			t.Errorf("%s: due %t", look.name, got)
		}
	}
}
