package progress

import (
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestRateAndWhatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := Start(1000, 100, time.Now())
		if s := m.State(time.Now()); s.Rate != 0 || s.Left != 0 || s.Percent() != 10 {
			t.Errorf("at the start: %+v, %d %%", s, s.Percent())
		}
		for range 10 {
			time.Sleep(time.Second)
			m.Add(20)
		}
		if s := m.State(time.Now()); s.Done != 300 || s.Rate != 20 || s.Left != 35*time.Second ||
			s.Percent() != 30 {
			t.Errorf("after ten seconds: %+v, %d %%", s, s.Percent())
		}
		for range 30 {
			time.Sleep(time.Second)
			m.Add(10)
		}
		if s := m.State(time.Now()); s.Rate != 10 {
			t.Errorf("it is slower now, and the rate is still %d", s.Rate)
		}
		time.Sleep(stall)
		if s := m.State(time.Now()); s.Rate != 0 || s.Left != 0 {
			t.Errorf("it stands still: %+v", s)
		}
	})
}

func TestACorrectionIsNoRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := Start(1000, 100, time.Now())
		for range 5 {
			time.Sleep(time.Second)
			m.Add(20)
		}
		for _, done := range []int64{600, 40} {
			m.Correct(done)
			if s := m.State(time.Now()); s.Done != done || s.Rate != 20 {
				t.Errorf("%d are done: %+v", done, s)
			}
		}
	})
}

func TestALongRunKeepsFewSamples(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := Start(1<<40, 0, time.Now())
		for range 10_000 {
			time.Sleep(300 * time.Millisecond)
			m.Add(1)
		}
		if n := len(m.samples); n > 25 {
			t.Errorf("%d samples", n)
		}
	})
}

func TestWhatIsReadAgainCountsOnce(t *testing.T) {
	m := Start(10, 0, time.Now())
	r := m.NewReader(strings.NewReader("0123456789"))
	if _, err := io.CopyN(io.Discard, r, 7); err != nil {
		t.Fatal(err)
	}
	if s := m.State(time.Now()); s.Done != 7 {
		t.Errorf("%d done, want 7", s.Done)
	}
	r.TakeBack()
	r.TakeBack()
	if s := m.State(time.Now()); s.Done != 0 {
		t.Errorf("%d done, want 0", s.Done)
	}
}

func TestPercentIsRoundedDown(t *testing.T) {
	for _, c := range []struct {
		done, size int64
		want       int
	}{{0, 0, 100}, {0, 10, 0}, {999, 1000, 99}, {1000, 1000, 100}, {1 << 62, 1 << 62, 100}} {
		if got := (State{Done: c.done, Size: c.size}).Percent(); got != c.want {
			t.Errorf("%d of %d: %d %%, want %d", c.done, c.size, got, c.want)
		}
	}
}
