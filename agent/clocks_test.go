package agent_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const fiveYears = 5 * 365 * 24 * time.Hour

// wrongClock is a clock that a story sets.
type wrongClock struct{ ahead atomic.Int64 }

func (c *wrongClock) now() time.Time      { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *wrongClock) set(d time.Duration) { c.ahead.Store(int64(d)) }

func (s *site) delivers(name string) {
	s.w.t.Helper()
	eventually(s.w.t, name+" is delivered, and its receipt is believed", func() bool {
		m := s.sent(name)
		return m.State == "delivered" && len(m.Recipients) == 1 && m.Recipients[0].Verified
	})
}

// The hub's clock is wrong by years: every site learns whose clock it may be, and nothing is lost.
// All goes on by itself once the hub's clock is right. It is wrong at a start of the hub, and while
// it runs.
func TestTheHubsClockIsWrongByYears(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		ahead  time.Duration
		during func(*world, func())
	}{{"ahead at its start", fiveYears, whileStopped},
		{"behind at its start", -fiveYears, whileStopped},
		{"ahead", fiveYears, whileRunning}, {"behind", -fiveYears, whileRunning}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // it waits more than it works
			theHubsClockIsWrong(t, c.ahead, c.during)
		})
	}
}

// whileStopped changes the clock of a hub between two runs.
func whileStopped(w *world, change func()) {
	w.stopHub()
	change()
	w.startHub()
}

// whileRunning changes the clock of a hub while it runs.
func whileRunning(_ *world, change func()) { change() }

func theHubsClockIsWrong(t *testing.T, ahead time.Duration, during func(*world, func())) {
	var clock wrongClock
	w := newWorldAt(t, clock.now)
	centre := w.joinBy(time.Now, "CA-RC", "receive")
	w.bind("ca_rc_queue", "fl-lab.*")
	lab := w.joinBy(time.Now, "FL-LAB", "send", "CA-RC")
	during(w, func() { clock.set(ahead) })
	const name = "data.csv"
	lab.drop(name, []byte(name))
	for _, s := range []*site{lab, centre} {
		eventually(t, string(s.name)+" is told that a clock is wrong", func() bool {
			l := s.status().Link
			return !l.Connected && (strings.Contains(l.Trouble.String(),
				"the hub's clock is wrong, or this one's: ask the admin of the hub") ||
				strings.Contains(l.Trouble.String(),
					"this computer's clock is wrong, or the hub's is: this one is 182"))
		})
	}
	clock.set(0)
	centre.expect("FL-LAB", name, []byte(name))
	lab.delivers(name)
	if failed := lab.tray("failed"); len(failed) > 0 {
		t.Errorf("failed: %v", failed)
	}
}

// The hub's clock is wrong by less than certificates live, in both directions: all sites go on.
func TestTheHubsClockIsWrongByDays(t *testing.T) {
	t.Parallel() // it waits more than it works
	var clock wrongClock
	w := newWorldAt(t, clock.now)
	centre := w.joinBy(time.Now, "CA-RC", "receive")
	w.bind("ca_rc_queue", "fl-lab.*")
	lab := w.joinBy(time.Now, "FL-LAB", "send", "CA-RC")
	for name, ahead := range map[string]time.Duration{"ahead": 20 * 24 * time.Hour, "right": 0,
		"ahead by an hour": time.Hour} {
		clock.set(ahead)
		lab.drop(name, []byte(name))
		centre.expect("FL-LAB", name, []byte(name))
		lab.delivers(name)
	}
	clock.set(20 * 24 * time.Hour)
	eventually(t, "the sites are told by how much", func() bool {
		return strings.Contains(lab.status().Link.Clock.String(), "behind the hub's")
	})
	clock.set(0)
	eventually(t, "and no more", func() bool {
		l := lab.status().Link
		return l.Connected &&
			l.Clock.IsZero()
	})
}

// A centre's clock is wrong by years while it runs, and at a start. It learns by how much, its
// signatures of that time are believed, and it goes on once the clock is right.
func TestTheCentresClockIsWrongByYears(t *testing.T) {
	t.Parallel() // it waits more than it works
	_, lab, centre := labAndCentre(t)
	var clock wrongClock
	centre.stop()
	centre.Now = clock.now
	centre.start()
	eventually(t, "it is connected", func() bool { return centre.status().Link.Connected })
	for name, ahead := range map[string]time.Duration{"ahead": fiveYears, "behind": -fiveYears} {
		clock.set(ahead) // on connections that it has already it works on, and signs
		lab.drop(name+" while it runs", []byte(name))
		eventually(t, "it is told by how much", func() bool {
			l := centre.status().Link
			return strings.Contains(l.Clock.String(), name)
		})
		clock.set(0)
		centre.expect("FL-LAB", name+" while it runs", []byte(name))
		lab.delivers(name + " while it runs")

		centre.stop()
		clock.set(ahead)
		centre.start()
		lab.drop(name+" at its start", []byte(name))
		eventually(t, "it is told by how much", func() bool {
			l := centre.status().Link
			return !l.Connected && strings.Contains(l.Trouble.String(),
				"by this computer's clock") && strings.Contains(l.Clock.String(), name)
		})
		clock.set(0)
		centre.expect("FL-LAB", name+" at its start", []byte(name))
		lab.delivers(name + " at its start")
	}
	if got := len(centre.inInbox()); got != 4 {
		t.Errorf("%d files arrived", got)
	}
}
