// Package progress measures the progress of a transfer for users: bytes done, rate and remaining
// time.
//
// It costs next to nothing. The remaining time is an estimate from the last seconds. The package
// does not know the moved content.
package progress

import (
	"io"
	"sync"
	"time"

	"sealpost/internal/reason"
)

// The rate is that of the last window; samples closer together than step are not kept. A transfer
// that has not moved for stall has none.
const (
	window = 20 * time.Second
	step   = time.Second
	stall  = 5 * time.Second
)

// Meter measures one transfer. All methods may be called concurrently.
type Meter struct {
	size int64

	mu      sync.Mutex // guards the fields below
	done    int64
	moved   time.Time // the last byte
	samples []sample  // oldest first; the first is at least a window old once there is one
}

type sample struct {
	at   time.Time
	done int64
}

// Start returns a Meter for a transfer of size bytes, of which some may be done.
func Start(size, done int64, now time.Time) *Meter {
	done = max(0, done)
	return &Meter{size: size, done: done, moved: now, samples: []sample{{now, done}}}
}

// Add counts bytes. A negative number takes back bytes that must be moved again.
func (m *Meter) Add(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done += bytes
	if bytes > 0 {
		m.moved = time.Now()
	}
	m.note(time.Now())
}

// Correct sets the bytes that are really done. The difference does not count in the rate: it was
// never moved.
func (m *Meter) Correct(done int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	wrong := m.done - done
	m.done = done
	for i := range m.samples {
		m.samples[i].done -= wrong
	}
}

// State is the progress at one time.
type State struct {
	Done int64         // bytes
	Size int64         // bytes
	Rate int64         // bytes per second; 0: stalled, or just begun
	Left time.Duration // remaining time at that rate; 0: unknown
}

// State returns the progress.
func (m *Meter) State(now time.Time) State {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.note(now)
	s := State{Done: min(max(m.done, 0), m.size), Size: m.size}
	base := m.samples[0]
	if past := now.Sub(base.at); past >= step/4 && m.done > base.done &&
		now.Sub(m.moved) < stall {
		s.Rate = int64(float64(m.done-base.done) / past.Seconds())
	}
	if s.Rate > 0 {
		s.Left = time.Duration(float64(s.Size-s.Done) / float64(s.Rate) * float64(
			time.Second)).Round(time.Second)
	}
	return s
}

// note keeps at most one sample per step, and drops those that the window no longer needs.
func (m *Meter) note(now time.Time) {
	if last := m.samples[len(m.samples)-1]; now.Sub(last.at) >= step {
		m.samples = append(m.samples, sample{now, m.done})
	}
	for len(m.samples) > 1 && now.Sub(m.samples[1].at) >= window {
		m.samples = m.samples[1:]
	}
}

// Percent returns the done part, rounded down: 100 only at the end.
func (s State) Percent() int {
	if s.Size <= 0 {
		return 100
	}
	return int(float64(s.Done) / float64(s.Size) * 100)
}

// Reason returns the progress for users.
func (s State) Reason() reason.Reason {
	switch {
	case s.Done >= s.Size:
		return reason.New("progress-done", "percent", s.Percent(), "size", reason.Size(s.Size))
	case s.Rate == 0:
		return reason.New("progress-stalled", "percent", s.Percent(), "size", reason.Size(s.Size))
	}
	return reason.New("progress", "percent", s.Percent(), "size", reason.Size(s.Size),
		"rate", reason.Size(s.Rate), "left", s.Left)
}

// Reader counts the bytes that are read through it.
type Reader struct {
	r     io.Reader
	meter *Meter
	count int64
}

// NewReader returns a Reader that counts the bytes of r.
func (m *Meter) NewReader(r io.Reader) *Reader { return &Reader{r: r, meter: m} }

func (r *Reader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.count += int64(n)
	r.meter.Add(int64(n))
	return n, err
}

// TakeBack takes back the counted bytes, after a failed transfer that will be repeated.
func (r *Reader) TakeBack() {
	r.meter.Add(-r.count)
	r.count = 0
}
