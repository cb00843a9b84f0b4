package tray

import (
	"errors"
	"os"
	"runtime"
	"testing"
	"time"

	"sealpost/internal/beneath"
)

// inTime is a moment at which a file made just now has been left alone for long enough.
func inTime() time.Time { return time.Now().Add(10 * time.Second) }

// A file is finished when no process has it open for writing.
func TestAFinishedFileHasNoWriter(t *testing.T) {
	if runtime.GOOS == "darwin" {
		t.Skip("SKIPPED: macOS cannot tell")
	}
	dir := t.TempDir()
	path := put(t, dir, "data.csv")
	var wait *Later
	for name, flag := range map[string]int{"write": os.O_WRONLY, "read and write": os.O_RDWR,
		"append": os.O_WRONLY | os.O_APPEND} {
		w, err := os.OpenFile(path, flag, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := finishedAt(t, path, Settling{}, inTime()); !errors.As(err, &wait) ||
			!wait.Open {
			t.Errorf("open to %s: %v", name, err)
		}
		w.Close()
	}
	r, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	source, _, err := finishedAt(t, path, Settling{}, inTime())
	if err != nil || source.Size != 7 || source.File == "" || source.ModTime == 0 {
		t.Errorf("open to read only: %+v, %v", source, err)
	}
}

// probing probes a file without a pause, until its result is called.
func probing(t *testing.T, path string) (stop func()) {
	stopping, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stopping:
				return
			default:
				// its answer does not matter here, only the writer
				_, _, _ = finishedAt(t, path, Settling{}, inTime())
			}
		}
	}()
	return func() {
		close(stopping)
		<-stopped
	}
}

// The probe never makes the open of a writer fail.
func TestTheProbeLetsWritersOpen(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("SKIPPED: Windows refuses a writer in the very instant of the probe, just " +
			"before the file is taken")
	}
	path := put(t, t.TempDir(), "data.csv")
	stop := probing(t, path)
	for range 2000 {
		w, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		w.Close()
	}
	stop()
}

// The settle time counts from the last change.
func TestTheSettleTime(t *testing.T) {
	path := put(t, t.TempDir(), "data.csv")
	if err := os.Chtimes(path, time.Unix(0, 0), time.Unix(0, 0)); err != nil { // as cp -p does
		t.Fatal(err)
	}
	var wait *Later
	if _, _, err := finishedAt(t, path, Settling{File: time.Minute},
		time.Now().Add(20*time.Second)); !errors.As(err, &wait) || wait.Open ||
		wait.After < 30*time.Second || wait.After > 41*time.Second {
		t.Errorf("20 s after the change: %v %+v", err, wait)
	}
	if _, _, err := finishedAt(t, path, Settling{File: time.Minute},
		time.Now().Add(61*time.Second)); err != nil {
		t.Errorf("61 s after the change: %v", err)
	}
	if _, _, err := finishedAt(t, path, Settling{File: time.Minute},
		time.Now().Add(-24*time.Hour)); err != nil {
		t.Errorf("with a clock that was put back by a day: %v", err)
	}
}

// Times before 1970 and after 2242 are those limits, also in folders, and in rows of before.
func TestTimesAreClamped(t *testing.T) {
	const last = 8589934591 * int64(time.Second)
	at := func(year int) beneath.Info {
		return beneath.Info{ModTime: time.Date(year, 1, 1, 0, 0, 0, 7, time.UTC)}
	}
	for year, want := range map[int]int64{1601: 0, 1677: 0, 1969: 0, 1970: 7,
		2100: 4102444800*int64(time.Second) + 7, 2243: last, 2263: last, 2300: last, 9999: last} {
		source := SourceOf(at(year))
		if source.ModTime != want {
			t.Errorf("%d is %d, want %d", year, source.ModTime, want)
		}
		var sum Sum
		sum.Add("", at(year))
		if sum.Add("a", at(1601)); sum.Source.ModTime != want {
			t.Errorf("%d in a folder is %d, want %d", year, sum.Source.ModTime, want)
		}
		before := source
		before.ModTime = at(year).ModTime.UnixNano()
		if year > 1677 && year < 2263 && !Same(before, source) {
			t.Errorf("a row of before with %d differs", year)
		}
	}
	if Same(SourceOf(at(1970)), SourceOf(at(1969))) {
		t.Error("two times are one")
	}
}

// Another file of the same name is not the source.
func TestAnotherFileOfTheName(t *testing.T) {
	dir := t.TempDir()
	path := put(t, dir, "data.csv")
	h, name := lookAt(t, path)
	want, err := h.Observe(name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := OpenSource(h.Root, name, want)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	info, _ := os.Stat(path)
	other := put(t, dir, "other")
	if err := errors.Join(os.Chtimes(other, info.ModTime(), info.ModTime()),
		os.Rename(other, path)); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenSource(h.Root, name, want); !errors.Is(err, ErrChanged) {
		t.Errorf("replaced: %v", err)
	}
	if err := errors.Join(os.Remove(path), os.Symlink("/etc/hostname", path)); err != nil {
		t.Fatal(err)
	}
	if f, err := OpenSource(h.Root, name, want); err == nil {
		f.Close()
		t.Error("a link in its place was opened")
	}
}
