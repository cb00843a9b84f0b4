package badgerspool

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"sealpost/internal/id"
	"sealpost/spool"
)

func stageParts(b *testing.B, s *Spool, part []byte, sum uint32, parts int) {
	b.Helper()
	up := spool.Upload{Sender: "FL-LAB", Envelope: id.Random128[id.Envelope](), Size: int64(parts) * spool.PartSize}
	for range parts {
		up.CRC32C = append(up.CRC32C, sum)
	}
	st, err := s.Stage(b.Context(), up)
	if err != nil {
		b.Fatal(err)
	}
	next := make(chan int, parts)
	for i := range parts {
		next <- i
	}
	inParallel(parts, 8, func() {
		if err := st.Put(b.Context(), <-next, bytes.NewReader(part)); err != nil {
			b.Error(err)
		}
	})
	if err := st.Abort(b.Context()); err != nil {
		b.Fatal(err)
	}
}

// TestMillion queues a million envelopes of 4 KiB for two recipients, in constant memory, starts again in seconds, settles
// them all, and gets the room on the disk back. It prints the curve that docs/spool.md shows.
func TestMillion(t *testing.T) {
	n := 10_000
	switch {
	case soak():
		n = 1_000_000
	case raceEnabled:
		n = 3_000
	}
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(96 << 20))
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{}, realSeams())
	const steps = 10
	for step := range steps {
		start := time.Now()
		publishMany(t, s, n/steps, 64)
		t.Logf("%8d queued: %6.0f publishes/s, %s", (step+1)*n/steps, perSecond(n/steps, start), memory(t))
	}
	must(t, s.Close())
	start := time.Now()
	s = mustOpen(t, dir, Options{}, realSeams())
	t.Logf("opened in %s", time.Since(start).Round(time.Millisecond))
	if d := time.Since(start); d > 20*time.Second {
		t.Errorf("it took %s to open", d)
	}
	for step := range steps {
		for _, queue := range []string{"ca_rc_queue", "sf_rc_queue"} {
			start := time.Now()
			settleMany(t, s, queue, n/steps, 64)
			t.Logf("%8d settled in %s: %6.0f settlements/s, %s", (step+1)*n/steps, queue, perSecond(n/steps, start), memory(t))
		}
	}
	s.quiet.Store(0)
	s.drained.Add(flattenFrom)
	must(t, s.flatten())
	if got := s.drained.Load(); got >= flattenFrom {
		t.Errorf("%d deleted keys are counted after Flatten", got)
	}
	expectNoPacks(t, s)
	size, metadata := diskUse(t, dir), int64(n)*1200
	t.Logf("%d MiB on the disk, %d bytes per envelope", size>>20, size/int64(n))
	if size > metadata+64*mib {
		t.Errorf("%d MiB are held after everything was settled", size>>20)
	}
}

func perSecond(n int, start time.Time) float64 { return float64(n) / time.Since(start).Seconds() }

// memory says how much private memory the process has, what no file backs, and complains when it is too much.
func memory(t *testing.T) string {
	t.Helper()
	got := privateMemory(t)
	if got > 128*mib && !raceEnabled { // the detector has memory of its own
		t.Errorf("%d MiB of private memory", got>>20)
	}
	return fmt.Sprintf("%d MiB private", got>>20)
}

func privateMemory(t *testing.T) (sum int64) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: memory is read from /proc")
	}
	data, err := os.ReadFile("/proc/self/smaps_rollup")
	must(t, err)
	for line := range strings.Lines(string(data)) {
		var kb int64
		if rest, ok := strings.CutPrefix(line, "Anonymous:"); ok {
			fmt.Sscanf(rest, "%d", &kb)
			sum += kb << 10
		}
	}
	return sum
}

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

// expectNoPacks waits until the janitor has removed all packs but the one under way.
func expectNoPacks(t *testing.T, s *Spool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for ctx.Err() == nil {
		entries, err := os.ReadDir(s.packs.dir)
		must(t, err)
		if len(entries) <= 1 {
			return
		}
		time.Sleep(5 * time.Millisecond) // the janitor works on its own time
	}
	t.Error("packs are left")
}
