package badgerspool

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"
	"time"

	"sealpost/internal/id"
	"sealpost/internal/testkit"
	"sealpost/spool"
)

func stageParts(b *testing.B, s *Spool, part []byte, sum uint32, parts int) {
	b.Helper()
	up := spool.Upload{Sender: "FL-LAB", Envelope: id.Random128[id.Envelope](),
		Size: int64(parts) * spool.PartSize}
	st, err := s.Stage(b.Context(), up)
	if err != nil {
		b.Fatal(err)
	}
	next := make(chan int, parts)
	for i := range parts {
		next <- i
	}
	inParallel(parts, 8, func() {
		if err := st.Put(b.Context(), <-next, sum, bytes.NewReader(part)); err != nil {
			b.Error(err)
		}
	})
	if err := st.Abort(b.Context()); err != nil {
		b.Fatal(err)
	}
}

// TestMillion queues a million envelopes of 4 KiB for two recipients in constant memory. It starts
// again in seconds, settles them all, and gets the room on the disk back. On the way it measures
// the cost of each further one: the curves of docs/spool.md.
func TestMillion(t *testing.T) {
	n := 10_000
	switch {
	case soak():
		n = 1_000_000
	case raceEnabled:
		n = 3_000
	}
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(96 << 20))
	dir, memory := t.TempDir(), newMeter(t)
	c := &curves{t: t, s: mustOpen(t, dir, Options{}, realSeams())}
	c.queueUpTo(n, memory)
	must(t, c.s.Close())
	start := time.Now()
	c.s = mustOpen(t, dir, Options{}, realSeams())
	t.Logf("opened in %s, %s", time.Since(start).Round(time.Millisecond), memory.peak())
	if d := time.Since(start); d > 20*time.Second {
		t.Errorf("it took %s to open", d)
	}
	c.settleUpTo(n, memory)
	c.write()
	drainQueue(t, c.s, "ca_rc_queue", 0)
	drainQueue(t, c.s, "sf_rc_queue", 1) // the one that rests
	must(t, c.s.Close())
	c.s = mustOpen(t, dir, Options{}, realSeams()) // whose janitor does nothing for a minute
	c.s.lastEnd.Store(0)
	c.s.drained.Add(flattenFrom)
	must(t, c.s.flatten())
	t.Logf("flattened, %s", memory.peak())
	if got := c.s.drained.Load(); got >= flattenFrom {
		t.Errorf("%d deleted keys are counted after Flatten", got)
	}
	expectPacks(t, c.s, 2) // the one under way, and that of the delivery that rests
	size, metadata := diskUse(t, dir), int64(c.published)*1200
	t.Logf("%d MiB on the disk, %d bytes per envelope", size>>20, size/int64(c.published))
	if size > metadata+64*mib {
		t.Errorf("%d MiB are held after everything was settled", size>>20)
	}
}

// drainQueue settles the waiting deliveries of a queue but the last so many.
func drainQueue(t *testing.T, s *Spool, queue string, but int64) {
	t.Helper()
	infos, err := s.Queues(t.Context())
	must(t, err)
	for _, info := range infos {
		if info.Name == queue {
			settleMany(t, s, queue, int(info.Waiting-but), 64)
		}
	}
}

func perSecond(n int, start time.Time) float64 { return float64(n) / time.Since(start).Seconds() }

// diskUse counts the blocks that the folder takes.
func diskUse(t *testing.T, dir string) (sum int64) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // tables come and go
		}
		if info, err := d.Info(); err == nil {
			sum += blocks(info)
		}
		return nil
	}))
	return sum
}

// expectPacks waits until the janitor has removed all packs but so many.
func expectPacks(t *testing.T, s *Spool, most int) {
	t.Helper()
	testkit.Eventually(t, "the packs are removed", func() bool {
		entries, err := os.ReadDir(filepath.Join(s.dir, "packs"))
		must(t, err)
		return len(entries) <= most
	})
}
