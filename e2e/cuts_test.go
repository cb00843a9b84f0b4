//go:build linux

package e2e

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"sealpost/hub/api"
)

// A connection that breaks costs at most its load: a part going up, a range coming down. So a file
// of 8 GiB whose connections break twenty times each way costs less than 1.05 times its size, and
// one with the same parts that breaks as often for its size shows it in seconds.
func TestAFileThatIsCutAgainAndAgainIsNotSentAgain(t *testing.T) {
	t.Parallel()
	size, cuts := int64(160*mib), 4
	if soak {
		size, cuts = 8*gib, 20
	}
	bin, err := plainProgram()
	must(t, err)
	w := newWorldOf(t, bin)
	centre := w.Centre("CA-RC", "fl-lab.*")
	lab := w.Lab("FL-LAB", centre)
	up, down := newLine(t, w.addr), newLine(t, w.addr)
	lab.Through(up)
	centre.Through(down)
	centre.Stop() // so that each way has all its cuts
	limit := patience + time.Duration(size/(10*mib))*time.Second

	up.cutOften(cuts, size)
	lab.MoveIn("cut again and again.bin", size)
	eventuallyWithin(t, limit, "the hub has it", func() bool { return w.hub.Status().Waiting == 1 },
		lab.statusText)
	down.cutOften(cuts, size) // before the first byte: the last place may be near the end
	centre.Start()
	eventuallyWithin(t, limit, "it is delivered",
		func() bool { return lab.count("delivered") == 1 }, lab.statusText, centre.statusText)
	for _, way := range []struct {
		direction string
		*line
		bytes, each int64 // carried, and the most that one cut may cost
	}{{"up", up, up.carried[0].Load(), api.PartSize},
		{"down", down, down.carried[1].Load(), api.RangeSize}} {
		broken := way.cuts.Load()
		t.Logf("%s: %d MiB in pieces of %d MiB over a line that was cut %d times: %.3f times "+
			"its size", way.direction, size/mib, way.each/mib, broken,
			float64(way.bytes)/float64(size))
		if broken < int64(cuts) {
			t.Errorf("the way %s was cut %d times only", way.direction, broken)
		}
		if most := size + size/100 + broken*way.each; way.bytes > most {
			t.Errorf("the way %s carried %d bytes, more than %d", way.direction, way.bytes, most)
		}
		if soak && way.bytes > size/100*105 {
			t.Errorf("the way %s carried %.3f times the file's size", way.direction,
				float64(way.bytes)/float64(size))
		}
	}
	w.Audit()
}

// cutOften breaks a connection so many times, at random places, while a file of this size passes.
func (l *line) cutOften(times int, size int64) {
	places := make([]int64, times)
	for i := range places {
		places[i] = 1 + rand.Int64N(size)
	}
	slices.Sort(places)
	for i := times - 1; i > 0; i-- {
		places[i] = max(1, places[i]-places[i-1])
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next = places[1:]
	l.budget.Store(places[0])
}
