//go:build linux

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sealpost/internal/testkit"
)

// memoryBound is the most private memory that any process may take, whatever the size of a file.
const memoryBound = 192 * mib

// A large file passes through all processes in constant memory, of the program as it is released.
func TestALargeFileInConstantMemory(t *testing.T) {
	t.Parallel()
	size := int64(224 * mib) // more than the bound
	if soak {
		size = 5 * gib
	}
	bin, err := plainProgram()
	must(t, err)
	w := newWorldOf(t, bin)
	ca, sf := w.Centre("CA-RC", "fl-lab.*"), w.Centre("SF-RC", "#")
	lab := w.Lab("FL-LAB", ca, sf)
	m := measure(t, w.hub.daemon, lab.daemon, ca.daemon, sf.daemon)
	began := time.Now()
	lab.MoveIn("very large.bin", size)
	limit := patience + time.Duration(size/(10*mib))*time.Second
	eventuallyWithin(t, limit, "it is delivered",
		func() bool { return lab.count("delivered") == 1 }, lab.statusText, sf.statusText)
	took := time.Since(began)
	for name, peak := range m.stop() {
		t.Logf("%s: at most %d MiB of private memory", name, peak/mib)
		if peak > memoryBound {
			t.Errorf("%s took %d MiB of private memory, more than %d", name, peak/mib,
				memoryBound/mib)
		}
		if peak == 0 {
			t.Errorf("%s was not measured", name)
		}
	}
	t.Logf("%d MiB to two centres in %s", size/mib, took.Round(time.Millisecond))
	w.Audit()
}

// The hub's runtime keeps to the limit of hub.toml, unless its surroundings set another.
func TestTheHubKeepsToItsLimitOfMemory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hub.Stop()
	watched := testkit.FreeAddress(t)
	edit(t, w.hub.config(), `metrics = ""`, `metrics = "`+watched+`"`)
	expect := func(want int64, env ...string) {
		t.Helper()
		w.hub.Start(env...)
		if text := get(t, "http://"+watched+"/metrics"); !strings.Contains(text, fmt.Sprintf(
			"\ngo_gc_gomemlimit_bytes %s\n", strconv.FormatFloat(float64(want), 'g', -1, 64))) {
			t.Errorf("the limit is not %d: %s", want, lineWith(text, "go_gc_gomemlimit_bytes "))
		}
		w.hub.Stop()
	}
	expect(96 * mib)
	expect(300*mib, "GOMEMLIMIT=300MiB")
	edit(t, w.hub.config(), `memory = "96MiB"`, `memory = "200MiB"`)
	expect(200 * mib)
}

func get(t *testing.T, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	must(t, err)
	answer, err := http.DefaultClient.Do(req)
	must(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	must(t, err)
	return string(text)
}

func lineWith(text, part string) string {
	for line := range strings.Lines(text) {
		if strings.Contains(line, part) && !strings.HasPrefix(line, "#") {
			return line
		}
	}
	return ""
}

// meter asks the system again and again how much memory processes have to themselves.
type meter struct {
	peaks map[string]int64
	end   chan struct{}
	done  sync.WaitGroup
}

func measure(t testing.TB, daemons ...*daemon) *meter {
	t.Helper()
	return measureBy(t, privateMemory, daemons...)
}

func measureBy(t testing.TB, memory func(pid int) int64, daemons ...*daemon) *meter {
	t.Helper()
	m := &meter{peaks: map[string]int64{}, end: make(chan struct{})}
	pids := map[string]int{}
	for _, d := range daemons {
		pids[d.name] = d.Process().Pid
	}
	m.done.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			for name, pid := range pids {
				m.peaks[name] = max(m.peaks[name], memory(pid))
			}
			select {
			case <-tick.C:
			case <-m.end:
				return
			}
		}
	})
	return m
}

func (m *meter) stop() map[string]int64 {
	close(m.end)
	m.done.Wait()
	return m.peaks
}

// privateMemory returns the memory that only this process has, in bytes; 0 when it is gone. It
// includes the pages of files that no other process has mapped.
func privateMemory(pid int) int64 { return rollup(pid, "Private_") }

// ownMemory returns the memory that no file backs. Pages of mapped files, as a full hub's tables
// are, are the system's cache of them: it takes them back when it needs the room.
func ownMemory(pid int) int64 { return rollup(pid, "Anonymous:") }

func rollup(pid int, kind string) (sum int64) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		var name string
		var kilobytes int64
		if n, _ := fmt.Sscanf(line, "%s %d kB", &name, &kilobytes); n == 2 &&
			strings.HasPrefix(name, kind) {
			sum += kilobytes * kib
		}
	}
	return sum
}
