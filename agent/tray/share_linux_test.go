package tray

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sealpost/internal/beneath"
	"sealpost/internal/oddfs"
	"sealpost/internal/reason"
	"sealpost/internal/testkit"
)

// share is a folder of another machine, looked at with a clock of its own.
type share struct {
	t     *testing.T
	disk  *oddfs.Disk
	h     *Handles
	start time.Time
}

func newShare(t *testing.T, habits oddfs.Habits) *share {
	t.Helper()
	disk := oddfs.Mount(t, habits)
	h := opened(t, &Tray{Dir: disk.Dir, ShareSettle: 10 * time.Second})
	return &share{t: t, disk: disk, h: h, start: time.Now()}
}

// writes has the other machine write a file, and keeps its time if it was there before.
func (s *share) writes(name, text string) {
	s.t.Helper()
	path := filepath.Join(s.disk.Back, name)
	mkdir(s.t, filepath.Dir(path))
	before, err := os.Stat(path)
	testkit.Must(s.t, os.WriteFile(path, []byte(text), 0o644))
	if err == nil {
		testkit.Must(s.t, os.Chtimes(path, before.ModTime(), before.ModTime()))
	}
}

// waits looks so many seconds after the start, and expects to wait for so many more.
func (s *share) waits(name string, second, want float64) {
	s.t.Helper()
	var later *Later
	now := s.start.Add(time.Duration(second * float64(time.Second)))
	_, _, err := s.h.Finished(name, Settling{}, now)
	got := 0.0
	if errors.As(err, &later) && !later.Open {
		got = later.After.Seconds()
	} else if err != nil {
		s.t.Fatalf("%s at %v s: %v", name, second, err)
	}
	if got != want {
		s.t.Errorf("%s at %v s waits %v s, want %v", name, second, got, want)
	}
}

// The clock of the server, and leases of its own, change nothing.
func TestAFileOfAShareIsFinishedByOurClock(t *testing.T) {
	for name, habits := range map[string]oddfs.Habits{
		"plain": {}, "leases refused": {NoLeases: true},
		"ahead": {Skew: time.Hour}, "a little ahead": {Skew: 30 * time.Second},
		"behind": {Skew: -time.Hour}, "whole seconds": {Granularity: 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShare(t, habits)
			s.writes("run.csv", "half")
			s.waits("run.csv", 0, 10)
			s.waits("run.csv", 9, 1)
			s.writes("run.csv", "all of it")
			s.waits("run.csv", 10, 10)
			s.waits("run.csv", 20, 0)
			s.waits("run.csv", 21, 10) // another one: the first was taken
		})
	}
}

// An admin knows more of a disk than the system.
func TestADiskIsAsTheAdminSays(t *testing.T) {
	for name, class := range map[string]beneath.Class{"local": beneath.Local,
		"shared": beneath.Shared} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			h := opened(t, &Tray{Dir: dir, ShareSettle: 5 * time.Second, Class: &class})
			mkdir(t, filepath.Join(dir, "in"))
			writer, err := os.Create(filepath.Join(dir, "in", "run.csv"))
			testkit.Must(t, err)
			t.Cleanup(func() { writer.Close() })
			var later *Later
			_, _, err = h.Finished("in/run.csv", Settling{}, time.Now())
			if !errors.As(err, &later) {
				t.Fatal(err)
			}
			if later.Open != (class == beneath.Local) ||
				class == beneath.Shared && later.After != 5*time.Second {
				t.Errorf("it waits %+v", later)
			}
		})
	}
}

// Size and time may stay while a program fills a file.
func TestAFileOfAShareIsComparedAtItsEnds(t *testing.T) {
	const size = 200_000
	for name, at := range map[string]int{"first": 0, "last": size - 1, "late": size - endSize} {
		t.Run(name, func(t *testing.T) {
			s := newShare(t, oddfs.Habits{})
			content := make([]byte, size)
			s.writes("run.raw", string(content))
			s.waits("run.raw", 0, 10)
			content[at] = 1
			s.writes("run.raw", string(content))
			s.waits("run.raw", 10, 10)
			s.waits("run.raw", 20, 0)
		})
	}
}

// A folder rests as a whole, also with a marker.
func TestAFolderOfAShareIsFinishedByOurClock(t *testing.T) {
	s := newShare(t, oddfs.Habits{Skew: -time.Hour})
	s.writes("run/a/1.csv", "one")
	s.writes("run.done", "")
	s.waits("run", 0, 10)
	s.writes("run/a/1.csv", "two")
	s.waits("run", 10, 10)
	s.writes("run/2.csv", "two")
	s.waits("run", 15, 10)
	s.waits("run", 25, 0)
}

// A file whose server says that it is in use is still written, alone and in a folder. One that may
// not be read is said.
func TestAFileOfAShareThatCannotBeOpened(t *testing.T) {
	for errno, expect := range map[unix.Errno]func(err error) bool{
		unix.EBUSY: func(err error) bool {
			var later *Later
			return errors.As(err, &later) && later.Open
		},
		unix.EACCES: func(err error) bool {
			var never *Never
			return errors.As(err, &never) && (never.Why.Code == reason.MayNotRead ||
				never.Why == reason.New("may-not-read-file", "name", "run.csv"))
		},
	} {
		s := newShare(t, oddfs.Habits{})
		s.writes("run.csv", "content")
		s.writes("run/run.csv", "content")
		s.disk.Fail(oddfs.Open, "run.csv", errno)
		for _, name := range []string{"run.csv", "run"} {
			if _, _, err := s.h.Finished(name, Settling{}, s.start); !expect(err) {
				t.Errorf("%s, %v: %v", name, errno, err)
			}
		}
	}
}

// The files that are looked at get their turn, however many there are.
func TestLooksAreBounded(t *testing.T) {
	const settle = 10 * time.Second
	var l looks
	start := time.Now()
	ends := func() (uint64, error) { return 1, nil }
	rested := func(name string, second float64) time.Duration {
		t.Helper()
		now := start.Add(time.Duration(second * float64(time.Second)))
		rest, err := l.rested(name, Source{Size: 1}, settle, now, ends)
		testkit.Must(t, err)
		return rest
	}
	for i := range maxLooks + 10 {
		rested(fmt.Sprint(i), 0)
	}
	if len(l.seen) != maxLooks {
		t.Errorf("%d are remembered", len(l.seen))
	}
	if rested("0", 10) != settle || rested(fmt.Sprint(maxLooks), 10) != 0 {
		t.Error("the first have no turn, or others have")
	}
	l.forget("0")
	rested(fmt.Sprint(maxLooks), 10)
	if got := rested(fmt.Sprint(maxLooks), 20); got != settle {
		t.Errorf("the next has rested for %s", got)
	}
	rested("more", 20+lookLasts.Seconds()) // all others are not there any more
	if len(l.seen) > 2 {
		t.Errorf("%d are remembered", len(l.seen))
	}
}
