package agent_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sealpost/agent"
	"sealpost/certs"
)

func TestASiteWithAWrongClockIsToldByHowMuch(t *testing.T) {
	w := newWorld(t)
	invitation := w.invite("FL-LAB", "send")
	join := func(ahead time.Duration) error {
		_, err := agent.Join(context.Background(), agent.JoinOptions{Invitation: invitation, Dir: filepath.Join(w.dir, "FL-LAB"), Version: "test", Log: w.log("FL-LAB"),
			Now: func() time.Time { return time.Now().Add(ahead) }})
		return err
	}
	const years = 5 * 365 * 24 * time.Hour
	for ahead, want := range map[time.Duration]string{years: "ahead of the hub's", -years: "behind the hub's"} {
		err := join(ahead)
		if !errors.Is(err, certs.ErrClock) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "4380") && !strings.Contains(err.Error(), "43799h") {
			t.Errorf("%s: %v", ahead, err)
		}
	}
	if err := join(0); err != nil {
		t.Errorf("with the clock set right: %v", err)
	}
}
