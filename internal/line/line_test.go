package line

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

const mebi = 1 << 20

// steady returns a limit that never changes.
func steady(limit int64) func(time.Time) int64 {
	return func(time.Time) int64 { return limit }
}

// flow sends bodies of 16 MiB, one after the other, until the context ends. It counts their bytes.
func flow(ctx context.Context, l *Line, passed *atomic.Int64) {
	buffer := make([]byte, chunk)
	for {
		b, err := l.Begin(ctx)
		if err != nil {
			return
		}
		r := b.Reader(ctx, io.LimitReader(zeros{}, 16*mebi))
		for err == nil {
			var n int
			n, err = r.Read(buffer)
			passed.Add(int64(n))
		}
		b.End()
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// wantRate compares the bytes of a time with a limit: within 5 %.
func wantRate(t *testing.T, label string, passed, limit int64, of time.Duration) {
	t.Helper()
	want := float64(limit) * of.Seconds()
	if got := float64(passed); got < .95*want || got > 1.05*want {
		t.Errorf("%s: %.0f bytes in %s, want %.0f", label, got, of, want)
	}
}

// begin starts the flows, and ends them with the bubble.
func begin(t *testing.T, l *Line, flows int) *atomic.Int64 {
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(func() { stop(); synctest.Wait() })
	var passed atomic.Int64
	for range flows {
		go flow(ctx, l, &passed)
	}
	return &passed
}

func TestALimitIsHonoured(t *testing.T) {
	for _, limit := range []int64{64 << 10, 100_000, mebi, 20 * mebi} {
		for _, flows := range []int{1, 3, 40} {
			synctest.Test(t, func(t *testing.T) {
				passed := begin(t, New(steady(limit)), flows)
				for range 2 {
					before := passed.Load()
					time.Sleep(time.Minute)
					wantRate(t, "bodies", passed.Load()-before, limit, time.Minute)
				}
			})
		}
	}
}

// All kinds share one limit, and none of them starves.
func TestSmallThingsPassFirst(t *testing.T) {
	for _, limit := range []int64{64 << 10, 2 * mebi} {
		synctest.Test(t, func(t *testing.T) {
			l := New(steady(limit))
			large := begin(t, l, 6)
			time.Sleep(time.Minute)
			for range 20 { // a small one waits no longer than for a few chunks
				began := time.Now()
				if err := l.First(t.Context(), 1000); err != nil {
					t.Fatal(err)
				}
				longest := time.Duration(2*chunk*int64(time.Second)/limit) + time.Millisecond
				if took := time.Since(began); took > longest {
					t.Errorf("a small one has waited for %s", took)
				}
				time.Sleep(time.Second)
			}
			var small atomic.Int64
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			for range 4 { // more than the line can take
				go func() {
					for l.First(ctx, mebi) == nil {
						small.Add(mebi)
					}
				}()
			}
			before := large.Load()
			const long = time.Hour
			time.Sleep(long)
			of, rest := small.Load(), large.Load()-before
			wantRate(t, "all", of+rest, limit, long)
			if of < rest*9/10 {
				t.Errorf("at %d in a second, small ones have %d bytes and bodies %d", limit, of,
					rest)
			}
			if each := rest / (1 + limit/bodyRate) / int64(long.Seconds()); each < 16<<10 {
				t.Errorf("at %d in a second, a body has %d", limit, each)
			}
		})
	}
}

// A chunk never stands still for as long as the hub's patience, whatever goes before.
func TestABodyNeverStandsStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(steady(64 << 10))
		b, err := l.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer b.End()
		r := b.Reader(t.Context(), zeros{})
		buffer := make([]byte, 1<<20)
		for range 100 {
			l.Count(8 * mebi) // receipts, say
			began := time.Now()
			if n, err := r.Read(buffer); n != chunk || err != nil {
				t.Fatal(n, err)
			}
			if took := time.Since(began); took > patience {
				t.Fatalf("a chunk has waited for %s", took)
			}
		}
	})
}

// Bytes that wait for nothing make the others wait.
func TestCountedBytesAreOwed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(steady(mebi))
		began := time.Now()
		l.Count(10 * mebi)
		if took := time.Since(began); took != 0 {
			t.Errorf("counting took %s", took)
		}
		if err := l.First(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < 9*time.Second || took > 10*time.Second {
			t.Errorf("the next one has waited for %s", took)
		}
	})
}

// The limit changes under bodies that have begun, and ends.
func TestALimitChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		l := New(func(now time.Time) int64 {
			switch now.Sub(start) / (14 * time.Minute) {
			case 0:
				return mebi
			case 1:
				return 5 * mebi
			}
			return 256 << 10
		})
		passed := begin(t, l, 30)
		for _, limit := range []int64{mebi, 5 * mebi, 256 << 10} {
			time.Sleep(9 * time.Minute) // bodies that have begun end
			before := passed.Load()
			time.Sleep(5 * time.Minute)
			wantRate(t, "a period", passed.Load()-before, limit, 5*time.Minute)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		noon := time.Now().Add(time.Hour)
		l := New(func(now time.Time) int64 {
			if now.Before(noon) {
				return 64 << 10
			}
			return 0
		})
		b, err := l.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer b.End()
		large := make([]byte, 300*mebi)
		r := b.Reader(t.Context(), bytes.NewReader(large))
		if _, err := io.ReadFull(r, large); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(noon); took < 0 || took > interval {
			t.Errorf("after the end of the limit it took %s", took)
		}
	})
}

// A call that is given up takes no place and no bytes.
func TestGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(steady(64 << 10))
		b, err := l.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		l.Count(mebi)
		ctx, stop := context.WithTimeout(t.Context(), time.Millisecond)
		defer stop()
		for range 3 {
			if err := l.First(ctx, mebi); !errors.Is(err, context.DeadlineExceeded) {
				t.Error("small:", err)
			}
			if _, err := l.Begin(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Error("a place:", err)
			}
			if _, err := b.Reader(ctx, zeros{}).Read(make([]byte, 10)); !errors.Is(err,
				context.DeadlineExceeded) {
				t.Error("a chunk:", err)
			}
		}
		b.End()
		began := time.Now()
		if b, err = l.Begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.End()
		if err := l.First(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 16*time.Second {
			t.Errorf("the next one has waited for %s", took)
		}
	})
}

// No line is no limit.
func TestNoLine(t *testing.T) {
	var l *Line
	l.Count(1 << 40)
	if err := l.First(t.Context(), 1<<40); err != nil {
		t.Error(err)
	}
	b, err := l.Begin(t.Context())
	if err != nil {
		t.Error(err)
	}
	defer b.End()
	if n, err := b.Reader(t.Context(), zeros{}).Read(make([]byte, mebi)); n != mebi || err != nil {
		t.Error(n, err)
	}
	ended, stop := context.WithCancel(t.Context())
	stop()
	if err := l.First(ended, 0); !errors.Is(err, context.Canceled) {
		t.Error("after the end:", err)
	}
}
