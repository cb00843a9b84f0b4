package agent

import (
	"slices"
	"strings"
	"testing"
	"time"

	"sealpost/config"
	"sealpost/internal/reason"
)

func rateOf(t *testing.T, text string) (r config.Rate) {
	t.Helper()
	if err := r.UnmarshalText([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return r
}

// The status has the limits that hold now, of the ways that the site uses.
func TestLimits(t *testing.T) {
	cfg := config.DefaultAgent()
	cfg.Role, cfg.Outbox.Route = config.RoleBoth, "fl-lab.dat"
	cfg.RateUp = rateOf(t, "07:00-19:00 5MiB/s, 20MiB/s")
	cfg.RateDown = rateOf(t, "07:00-19:00 64KiB/s")
	cfg.Outbox.RateUp = rateOf(t, "1MiB/s")
	noon := time.Date(2026, 12, 7, 12, 0, 0, 0, time.Local)
	evening := time.Date(2026, 12, 7, 19, 0, 0, 0, time.Local)
	morning := time.Date(2026, 12, 8, 7, 0, 0, 0, time.Local)
	ofTray := Limit{LimitUp, "outbox", 1 << 20, time.Time{}}
	for _, c := range []struct {
		role string
		now  time.Time
		want []Limit
	}{
		{config.RoleBoth, noon, []Limit{{LimitUp, "", 5 << 20, evening}, ofTray,
			{LimitDown, "", 64 << 10, evening}}},
		{config.RoleBoth, evening, []Limit{{LimitUp, "", 20 << 20, morning}, ofTray}},
		{config.RoleReceive, noon, []Limit{{LimitDown, "", 64 << 10, evening}}},
	} {
		cfg.Role = c.role
		if got := (&Agent{cfg: cfg}).limits(c.now); !slices.Equal(got, c.want) {
			t.Errorf("%s at %s: %v, want %v", c.role, c.now, got, c.want)
		}
	}
	for l, want := range map[Limit]string{
		{LimitDown, "", 5 << 20, evening}: "fetching is limited to 5.0 MiB/s until " +
			reason.TimeText(evening),
		ofTray: "sending from the tray outbox is limited to 1.0 MiB/s",
	} {
		if got := l.Reason().String(); !strings.HasSuffix(got, want) {
			t.Errorf("it says %q, want %q", got, want)
		}
	}
	if newLine(cfg.RateUp) == nil || newLine(config.Rate{}) != nil {
		t.Error("a line is there without a limit, or none with one")
	}
}
