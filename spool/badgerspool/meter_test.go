package badgerspool

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const memoryBound = 128 << 20 // bytes of private memory for a million queued

// meter measures the private memory of the process, without the pages of files.
type meter struct {
	t    *testing.T
	most atomic.Int64
}

func newMeter(t *testing.T) *meter {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: memory is read from /proc")
	}
	m := &meter{t: t}
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			m.look()
			select {
			case <-tick.C:
			case <-end:
				return
			}
		}
	}()
	t.Cleanup(func() { close(end); <-ended })
	return m
}

func (m *meter) look() {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		m.t.Error(err)
		return
	}
	for line := range strings.Lines(string(data)) {
		var kb int64
		if n, _ := fmt.Sscanf(line, "RssAnon: %d kB", &kb); n == 1 {
			m.most.Store(max(m.most.Load(), kb<<10))
		}
	}
}

// peak is the most since it was asked last, and complains when that is too much.
func (m *meter) peak() string {
	m.t.Helper()
	m.look()
	got := m.most.Swap(0)
	if got == 0 || got > memoryBound && !raceEnabled { // the detector has memory of its own
		m.t.Errorf("%d MiB of private memory", got>>20)
	}
	return fmt.Sprintf("at most %d MiB private", got>>20)
}
