package tray

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"

	"sealpost/internal/beneath"
)

// instrument is a program that writes one name of a tray, at times of its own clock.
type instrument struct {
	t       *testing.T
	habits  Habits
	settle  time.Duration
	start   time.Time
	file    int
	size    int64
	changed time.Time
	mod     time.Time
}

func newInstrument(t *testing.T, settle time.Duration) *instrument {
	return &instrument{t: t, settle: settle, start: time.Unix(1_800_000_000, 0)}
}

// at looks at the file so many seconds after the start. It returns for how long the file must still
// be left alone, and why.
func (i *instrument) at(second float64) (wait time.Duration, why string) {
	i.t.Helper()
	now := i.start.Add(time.Duration(second * float64(time.Second)))
	info := beneath.Info{Size: i.size, ModTime: i.mod, Changed: i.changed}
	settle := Settling{File: i.settle, Habits: &i.habits, Rel: "run.csv"}
	settle.look(Source{File: fmt.Sprint(i.file), Size: i.size}, info, now)
	if open := i.settle - now.Sub(i.changed); open > 0 {
		return open, "" // see finishedFile
	}
	err := settle.rest(info, now)
	var l *Later
	if errors.As(err, &l) {
		return l.After, l.Why.String()
	}
	if err != nil {
		i.t.Fatal(err)
	}
	return 0, ""
}

// writes makes the file so long at a second. One that is not there is created.
func (i *instrument) writes(second float64, size int64) {
	i.changed = i.start.Add(time.Duration(second * float64(time.Second)))
	i.mod = i.changed
	if i.size == 0 {
		i.file++
		i.habits.hear("run.csv", fsnotify.Create, i.changed)
	}
	i.size = size
	i.habits.hear("run.csv", fsnotify.Write, i.changed)
	i.at(second)
}

// taken has the file claimed: the next write makes another.
func (i *instrument) taken(second float64) {
	i.t.Helper()
	if wait, why := i.at(second); wait > 0 {
		i.t.Fatalf("at %v s it is not taken for %s: %s", second, wait, why)
	}
	i.size = 0
}

// waits has the file wait for so long, and for a reason that has this text.
func (i *instrument) waits(second float64, want time.Duration, text string) {
	i.t.Helper()
	wait, why := i.at(second)
	if wait != want || !strings.Contains(why, text) || (text == "") != (why == "") {
		i.t.Errorf("at %v s it waits for %s, want %s: %q", second, wait, want, why)
	}
}

// An empty file that was made here may be filled later. One that was moved here is complete.
func TestAnEmptyFile(t *testing.T) {
	i := newInstrument(t, 2*time.Second)
	i.writes(0, 0)
	i.waits(2, 58*time.Second, "may be filled later")
	i.taken(60)
	i.writes(100, 0)
	i.mod = i.start
	i.taken(102)
	i = newInstrument(t, 2*time.Minute)
	i.writes(0, 0)
	i.taken(120)
}

// A file that a program appends to every few seconds is taken whole.
func TestRegularAppends(t *testing.T) {
	i := newInstrument(t, 2*time.Second)
	for n := range 5 {
		at := 4 * float64(n)
		i.writes(at, int64(n)+1)
		if n == 0 {
			i.waits(at+2, 2500*time.Millisecond, "")
			continue
		}
		i.waits(at+2, 4*time.Second, "after a pause of 4 s") // half as long again
	}
	i.waits(21.9, 100*time.Millisecond, "after a pause of 4 s")
	i.taken(22) // 6 s after the last line
}

// A pause that was seen is waited for half as long again: bounded, and said.
func TestTheQuietTimeGrowsWithThePauses(t *testing.T) {
	i := newInstrument(t, 2*time.Second)
	i.writes(0, 1)
	i.at(2)
	i.writes(5, 2)
	i.waits(7, 5500*time.Millisecond, "after a pause of 5 s")
	i.writes(12, 3)
	i.waits(14, 8500*time.Millisecond, "after a pause of 7 s")
	i.taken(22.5)

	for pause, want := range map[time.Duration]time.Duration{time.Minute: 90 * time.Second,
		time.Hour: pausedMost} {
		if got := pausedQuiet(pause); got != want {
			t.Errorf("after a pause of %s: %s", pause, got)
		}
	}
	for settle, want := range map[time.Duration]time.Duration{0: 0,
		time.Second: 2250 * time.Millisecond, 4 * time.Second: 4500 * time.Millisecond,
		time.Minute: time.Minute} {
		if got := writtenQuiet(settle); got != want {
			t.Errorf("with a settle time of %s: %s", settle, got)
		}
	}
}

// Of a program that pauses for longer than can be known one piece goes alone, and the rest as one.
// The next day it all is one.
func TestOnlyTheFirstPieceGoesAlone(t *testing.T) {
	i := newInstrument(t, 2*time.Second)
	i.writes(0, 1)
	i.taken(5)
	i.writes(20, 1)
	i.waits(22, 28*time.Second, "may be the rest of it")
	i.writes(40, 2)
	i.waits(42, 28*time.Second, "after a pause of 20 s")
	i.writes(60, 3)
	i.taken(90)

	day := 20 * 3600.0
	i.writes(day, 1)
	i.waits(day+2, 28*time.Second, "after a pause of 20 s")
	i.writes(day+20, 2)
	i.taken(day + 50)

	i.writes(day+30*3600, 1) // too long ago
	i.taken(day + 30*3600 + 5)
}

// Complete files of one name, one soon after the other, are held up once.
func TestCompleteFilesOfOneName(t *testing.T) {
	i := newInstrument(t, 2*time.Second)
	i.writes(0, 10)
	i.taken(5)
	i.writes(60, 11)
	i.waits(62, 88*time.Second, "move them here")
	i.taken(150)
	for n := range 3 {
		at := 200 + 60*float64(n)
		i.writes(at, 12)
		i.taken(at + 5)
	}

	i = newInstrument(t, 2*time.Second)
	i.writes(0, 10)
	i.taken(5)
	i.writes(5+120, 10) // more than two minutes after the first was written
	i.taken(5 + 125)
}

// A program that writes a file anew each time, with more or less in it, has no habit of appending.
func TestAFileThatIsWrittenAnew(t *testing.T) {
	i := newInstrument(t, 2*time.Second)
	i.writes(0, 10)
	i.at(2)
	i.writes(5, 12)
	i.waits(7, 5500*time.Millisecond, "after a pause")
	i.writes(10, 11)
	i.waits(12, 2500*time.Millisecond, "")
	i.taken(15)
}

// A file that is moved in is complete, and so is one that is copied with its time.
func TestWhatIsMovedInWaitsForNoHabit(t *testing.T) {
	i := newInstrument(t, 2*time.Second)
	for _, second := range []float64{0, 10, 20} {
		i.file++
		i.size = 5
		i.changed = i.start.Add(time.Duration(second) * time.Second)
		i.mod = i.changed.Add(-time.Hour)
		i.waits(second, 2*time.Second, "")
		i.taken(second + 2)
	}
	if runtime.GOOS != "linux" {
		return // nothing else tells so
	}
	i = newInstrument(t, 2*time.Second)
	come := func(second float64, size int64) {
		i.file++
		i.size = size
		i.changed = i.start.Add(time.Duration(second * float64(time.Second)))
		i.mod = i.changed
		i.habits.hear("run.csv", fsnotify.Create, i.changed)
	}
	come(0, 5)
	i.taken(2)
	come(10, 5)
	i.taken(12)
	come(20, 0) // empty: its content is to come
	i.waits(22, 58*time.Second, "may be filled later")
	i = newInstrument(t, 2*time.Second)
	come(0, 5)
	i.habits.lost() // and it may have been written
	i.waits(2, 2500*time.Millisecond, "")
	i = newInstrument(t, 2*time.Second)
	come(0, 5)
	i.size = 6
	i.habits.hear("run.csv", fsnotify.Write, i.changed)
	i.waits(2, 2500*time.Millisecond, "")
}

// Without a settle time everything goes at once.
func TestWithoutASettleTimeNothingWaits(t *testing.T) {
	i := newInstrument(t, 0)
	for n := range 3 {
		i.writes(float64(n), 1)
		i.taken(float64(n))
	}
	if len(i.habits.names) > 1 {
		t.Errorf("remembered: %v", i.habits.names)
	}
}

func TestHabitsAreRememberedUpToABound(t *testing.T) {
	var h Habits
	now := time.Now()
	paused := &habit{file: "1", changed: now, pause: time.Minute}
	h.names = map[string]*habit{"paused": paused}
	for i := range 3 * maxHabits {
		h.hear(fmt.Sprint("file ", i), fsnotify.Create, now)
	}
	if len(h.names) > maxHabits {
		t.Errorf("%d are remembered", len(h.names))
	}
	for i := range 2 * maxHabits {
		h.look(fmt.Sprint("paused ", i), Source{File: "1"}, beneath.Info{Changed: now}, now)
		h.names[fmt.Sprint("paused ", i)].pause = time.Minute
	}
	if len(h.names) > maxHabits {
		t.Errorf("%d are remembered", len(h.names))
	}
}

// A file that is gone on with in sending/ is left alone until its program has finished.
func TestGrowthAfterAClaim(t *testing.T) {
	for pause, want := range map[time.Duration]time.Duration{
		-time.Second: 4500 * time.Millisecond, time.Second: 4500 * time.Millisecond,
		20 * time.Second: 30 * time.Second, time.Hour: 4500 * time.Millisecond,
	} {
		if got := resumedQuiet(pause, 2*time.Second); got != want {
			t.Errorf("changed %s after its claim: %s", pause, got)
		}
	}
	path := put(t, t.TempDir(), "run.csv")
	settle := Settling{File: 2 * time.Second, Claimed: time.Now().Add(-20 * time.Second)}
	var l *Later
	if _, _, err := finishedAt(t, path, settle, inTime()); !errors.As(err, &l) ||
		l.After < 15*time.Second {
		t.Errorf("10 s after it was written: %v", err)
	}
	if _, _, err := finishedAt(t, path, settle, time.Now().Add(40*time.Second)); err != nil {
		t.Errorf("40 s after it was written: %v", err)
	}
}

// The real system distinguishes a file that was written in outbox/ from one that was moved there.
func TestTheSystemTellsWhatWasWrittenHere(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: only Linux tells")
	}
	tray := newTray(t)
	tray.Settle = 2 * time.Second
	w := tray.NewWatch(time.Minute, func(string, string) {})
	w.Begin()
	defer w.Close()
	w.Add(tray.outbox())
	quietTime := func(name string) time.Duration {
		t.Helper()
		put(t, tray.outbox(), name+" and after")
		for <-w.Names != name+" and after" {
		}
		settle := Settling{File: 2 * time.Second, Habits: &tray.Habits, Rel: name}
		h, base := lookAt(t, filepath.Join(tray.outbox(), name))
		info, err := h.Lstat(base)
		if err != nil {
			t.Fatal(err)
		}
		var l *Later
		if _, _, err := h.Finished(base, settle,
			info.Changed.Add(3*time.Second)); errors.As(err, &l) {
			return l.After + 3*time.Second
		} else if err != nil {
			t.Fatal(err)
		}
		return 2 * time.Second
	}
	put(t, tray.outbox(), "written")
	if got := quietTime("written"); got != 4500*time.Millisecond {
		t.Errorf("written here: %s", got)
	}
	if err := os.Rename(put(t, t.TempDir(), "moved"),
		filepath.Join(tray.outbox(), "moved")); err != nil {
		t.Fatal(err)
	}
	if got := quietTime("moved"); got != 2*time.Second {
		t.Errorf("moved here: %s", got)
	}
	if err := os.Rename(put(t, tray.outbox(), "x.part"),
		filepath.Join(tray.outbox(), "x")); err != nil {
		t.Fatal(err)
	}
	if got := quietTime("x"); got != 2*time.Second {
		t.Errorf("renamed here: %s", got)
	}
	if h := tray.Habits.names["x.part"]; h != nil {
		t.Error("an unfinished file is remembered")
	}
}
