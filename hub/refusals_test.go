package hub

import (
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"sealpost/hub/api"
)

// address returns one of many addresses.
func address(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{192, 0, byte(n >> 8), byte(n)})
}

// A class of refusals has one line at once, and one a minute after that.
func TestRefusalsAreCounted(t *testing.T) {
	log := &journal{}
	r := newRefusals(slog.New(slog.NewTextHandler(log, nil)))
	lines := func() (list []string) {
		for _, l := range strings.Split(strings.TrimSpace(log.String()), "\n") {
			if l != "" {
				list = append(list, l[strings.Index(l, "level="):])
			}
		}
		return list
	}
	now := time.Now()
	for second := range 180 {
		at := now.Add(time.Duration(second) * time.Second)
		for n := range 3 * maxRefused { // more addresses than are counted
			r.note(slog.LevelInfo, refusedCaller, address(n), at, "site", "FL-LAB")
		}
		for range 50 {
			r.note(slog.LevelInfo, refusedCaller, address(9000), at)
		}
		r.sum(at, refusalEvery)
	}
	r.note(slog.LevelWarn, refusedInvitation, address(1), now, "why", "wrong")
	got := lines()
	if len(got) != 4 {
		t.Fatalf("want 2 first lines and 2 counts, got:\n%s", strings.Join(got, "\n"))
	}
	for _, want := range []string{"site=FL-LAB", "from=192.0.0.0"} {
		if !strings.Contains(got[0], want) {
			t.Errorf("the first line lacks %s: %s", want, got[0])
		}
	}
	count := fmt.Sprint("count=", 61*(3*maxRefused+50)-1)
	if !strings.Contains(got[1], count) || !strings.Contains(got[1], `busiest="192.0.35.40 (`) {
		t.Errorf("want %s, busiest 192.0.35.40: %s", count, got[1])
	}
	if n := len(r.classes[refusedCaller].from); n > maxRefused {
		t.Errorf("%d addresses are counted", n)
	}
	r.sum(now.Add(time.Hour), refusalEvery) // the count of the third minute
	r.sum(now.Add(2*time.Hour), refusalEvery)
	if len(r.classes) != 0 {
		t.Errorf("classes without refusals are kept: %v", r.classes)
	}
	if n := len(lines()); n != 5 {
		t.Errorf("%d lines are written, want 5", n)
	}
}

// A removed certificate in a loop writes one line at once, and the count at the end.
func TestARemovedSiteDoesNotFillTheLog(t *testing.T) {
	q := openHeadquarters(t)
	lab := q.lab("FL-LAB")
	ask[Removed](q, ControlRemove, RemoveRequest{Site: "FL-LAB"})
	for range 20 {
		_, err := lab.Hello(t.Context())
		wantCode(t, err, api.CodeRemoved)
	}
	q.stop()
	if n := strings.Count(q.log.String(), `msg="caller not admitted"`); n != 2 {
		t.Errorf("%d lines are written, want 2", n)
	}
	if !strings.Contains(q.log.String(), "count=19") {
		t.Error("the log does not count the refusals")
	}
}
