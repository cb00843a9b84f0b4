// Package progress measures how far something has come, how fast it goes, and when it will be done, for people.
//
// It promises to cost next to nothing, so that whoever moves the bytes need not think of it. What it says of the future is
// a guess from the last seconds. It does not know what is being moved.
package progress

import (
	"sync"
	"time"
)

// The rate is that of the last window; samples closer together than step are not kept.
const (
	window = 20 * time.Second
	step   = time.Second
)

// Meter is one thing under way. All methods may be called concurrently.
type Meter struct {
	size int64

	mu      sync.Mutex // guards what follows
	done    int64
	samples []sample // oldest first; the first is at least a window old once there is one
}

type sample struct {
	at   time.Time
	done int64
}

// Start begins to measure something of size bytes of which some are done already.
func Start(size, done int64, now time.Time) *Meter {
	done = max(0, done)
	return &Meter{size: size, done: done, samples: []sample{{now, done}}}
}

// Add counts bytes; a negative number takes back what has to be done again.
func (m *Meter) Add(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done += bytes
	m.note(time.Now())
}

// Correct says how much is done really. What that differs from what was counted was never moved, so that the rate knows
// nothing of it.
func (m *Meter) Correct(done int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	wrong := m.done - done
	m.done = done
	for i := range m.samples {
		m.samples[i].done -= wrong
	}
}

// State is how far something is.
type State struct {
	Done int64         // bytes
	Size int64         // bytes
	Rate int64         // bytes per second; 0: it stands still, or it has only begun
	Left time.Duration // until it is done at that rate; 0: nobody knows
}

// State says how far it is.
func (m *Meter) State(now time.Time) State {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.note(now)
	s := State{Done: min(max(m.done, 0), m.size), Size: m.size}
	base := m.samples[0]
	if past := now.Sub(base.at); past >= step/4 && m.done > base.done {
		s.Rate = int64(float64(m.done-base.done) / past.Seconds())
	}
	if s.Rate > 0 {
		s.Left = time.Duration(float64(s.Size-s.Done) / float64(s.Rate) * float64(time.Second)).Round(time.Second)
	}
	return s
}

// note keeps a sample now and then, and lets go of those of which nobody will ask any more.
func (m *Meter) note(now time.Time) {
	if last := m.samples[len(m.samples)-1]; now.Sub(last.at) >= step {
		m.samples = append(m.samples, sample{now, m.done})
	}
	for len(m.samples) > 1 && now.Sub(m.samples[1].at) >= window {
		m.samples = m.samples[1:]
	}
}

// Percent is how much is done, rounded down: 100 only when all is.
func (s State) Percent() int {
	if s.Size <= 0 {
		return 100
	}
	return int(float64(s.Done) / float64(s.Size) * 100)
}
