package agent_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sealpost/agent"
	"sealpost/certs"
)

// A site with a wrong clock that joins learns by how much it is wrong.
func TestJoinWithAWrongClock(t *testing.T) {
	t.Parallel() // it waits more than it works
	w := newWorld(t)
	invitation := w.invite("FL-LAB", "send")
	join := func(ahead time.Duration) error {
		_, err := agent.Join(context.Background(), agent.JoinOptions{Invitation: invitation,
			Dir: filepath.Join(w.dir, "FL-LAB"), Version: "test", Log: w.log("FL-LAB"),
			Now: func() time.Time { return time.Now().Add(ahead) }})
		return err
	}
	const years = 5 * 365 * 24 * time.Hour
	for ahead, want := range map[time.Duration]string{years: "ahead of the hub's",
		-years: "behind the hub's"} {
		err := join(ahead)
		if !errors.Is(err, certs.ErrClock) || !strings.Contains(err.Error(), want) ||
			!strings.Contains(err.Error(), "182") {
			t.Errorf("%s: %v", ahead, err)
		}
	}
	if err := join(0); err != nil {
		t.Errorf("with the clock set right: %v", err)
	}
}

// A clock that is wrong by years stops a site that starts, which reports by how much. It goes on by
// itself once the clock is right.
func TestARunningSitesWrongClock(t *testing.T) {
	t.Parallel() // it waits more than it works
	_, lab, centre := labAndCentre(t)
	var ahead atomic.Int64
	lab.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	const years = 5 * 365 * 24 * time.Hour
	for wrong, want := range map[time.Duration]string{years: "ahead of the hub's",
		-years: "behind the hub's"} {
		lab.stop()
		ahead.Store(int64(wrong))
		lab.start()
		name := "dropped with a clock " + strings.Fields(want)[0]
		lab.drop(name, []byte(name))
		eventually(t, "it is told", func() bool {
			l := lab.status().Link
			return !l.Connected && strings.Contains(l.Trouble.String(), want) &&
				strings.Contains(l.Clock.String(), want)
		})
		ahead.Store(0)
		centre.expect("FL-LAB", name, []byte(name))
		eventually(t, "nothing is wrong any more",
			func() bool { l := lab.status().Link; return l.Connected && l.Clock.IsZero() })
	}
	if failed := lab.tray("failed"); len(failed) > 0 {
		t.Errorf("failed: %v", failed)
	}
}
