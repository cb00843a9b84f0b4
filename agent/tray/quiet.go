package tray

import (
	"runtime"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"sealpost/internal/beneath"
	"sealpost/internal/reason"
)

const (
	// writtenFactor and writtenMost set the quiet time of a file that was written in outbox/
	// itself. Its program may close it and then continue to write. A longer settle time is kept.
	writtenFactor = 2.25
	writtenMost   = 4500 * time.Millisecond
	// pausedMost bounds the quiet time of a file whose program has paused.
	pausedMost = 10 * time.Minute
	// emptyQuiet is the quiet time of an empty file that was made in outbox/ itself. Many programs
	// make a file first and fill it later.
	emptyQuiet = time.Minute
	// resumesWithin is the longest pause after which another file of a name may be the rest of a
	// file.
	resumesWithin = 2 * time.Minute
	// habitLasts is the time for which a name's pauses are remembered: an instrument writes it
	// again tomorrow.
	habitLasts = 24 * time.Hour
	// oldContent is the least age difference between a file's content and its last change of any
	// kind. Such a file counts as moved, or as copied with its time.
	oldContent = 2 * time.Second
	maxHabits  = 8192
)

// Settling has the times for which entries must stay unchanged to count as finished.
type Settling struct {
	File, Folder time.Duration

	Habits  *Habits   // of the tray; nil: nothing is known of the program
	Rel     string    // the file's path in outbox/
	Claimed time.Time // of a file in sending/ that has changed since its claim; zero: unchanged
}

// look records the state of a file.
func (s Settling) look(source Source, info beneath.Info, now time.Time) {
	if s.Habits != nil && s.File > 0 {
		s.Habits.look(s.Rel, source, info, now)
	}
}

// rest returns a *Later for a closed and settled file while its program may still continue.
func (s Settling) rest(info beneath.Info, now time.Time) error {
	quietTime, why := s.File, reason.Reason{}
	switch {
	case s.File == 0: // the admin has set no settle time
	case s.Habits != nil:
		quietTime, why = s.Habits.rest(s.Rel, info, s.File, now)
	case !s.Claimed.IsZero():
		quietTime = resumedQuiet(info.Changed.Sub(s.Claimed), s.File)
	}
	if wait := quietTime - sinceChange(info, now); wait > 0 {
		return &Later{After: wait, Why: why}
	}
	return nil
}

// writtenQuiet returns the quiet time of a file that was written in outbox/ itself.
func writtenQuiet(settle time.Duration) time.Duration {
	return max(settle, min(time.Duration(writtenFactor*float64(settle)), writtenMost))
}

// pausedQuiet returns the quiet time of a file after such a pause of its program.
func pausedQuiet(longest time.Duration) time.Duration {
	return min(longest+longest/2, pausedMost)
}

// resumedQuiet returns the quiet time of a file that was changed in sending/ after its claim.
func resumedQuiet(pause, settle time.Duration) time.Duration {
	if pause <= 0 || pause > resumesWithin {
		return writtenQuiet(settle)
	}
	return max(writtenQuiet(settle), pausedQuiet(pause))
}

// Habits records by name how programs write the files of a tray. A restart clears it.
type Habits struct {
	mu    sync.Mutex        // guards names
	names map[string]*habit // by their path in outbox/
}

// habit describes how a program writes the files of one name.
type habit struct {
	file        string    // its identity at the last look
	size        int64     // at the last look
	changed     time.Time // at the last look
	rested      bool      // it was closed and settled since: whatever is added comes after a pause
	writtenHere bool      // it was written here when it rested

	pause time.Duration // the longest so far; zero: none
	doubt bool          // the pause lies between two files, and each of them may be complete
	whole bool          // each file of this name is complete when it rests

	came    bool // the system has notified of a new entry of this name
	written bool // the system has notified of a write into it since
}

// lasts returns the time for which a habit is remembered after the last change of its file.
func (h *habit) lasts() time.Duration {
	if h.pause > 0 || h.whole {
		return habitLasts
	}
	return resumesWithin
}

// isWrittenHere reports whether a file may have been written in outbox/ itself. Only on Linux do
// missing write events prove that it was not. An empty file waits for its content.
func (h *habit) isWrittenHere(info beneath.Info) bool {
	if info.Changed.Sub(info.ModTime) >= oldContent {
		return false
	}
	return runtime.GOOS != "linux" || !h.came || h.written || info.Size == 0
}

// Hear records a notification about an entry of outbox/.
func (t *Tray) Hear(rel string, op fsnotify.Op) {
	if dir, name := split(rel); NatureOf(name) != Ordinary {
		t.openFiles.note(dir, name)
	} else if t.Settle > 0 {
		t.Habits.hear(rel, op, time.Now())
	}
}

// Lost records that notifications were lost.
func (t *Tray) Lost() {
	t.openFiles.lost()
	t.Habits.lost()
}

func (h *Habits) hear(rel string, op fsnotify.Op, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case op.Has(fsnotify.Create):
		one := h.of(rel, now)
		one.came, one.written = true, false
	case op.Has(fsnotify.Write):
		if one := h.names[rel]; one != nil {
			one.written = true
		}
	}
}

func (h *Habits) lost() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, one := range h.names {
		one.came = false
	}
}

// look compares a file with its state at the last look.
func (h *Habits) look(rel string, source Source, info beneath.Info, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	one := h.of(rel, now)
	gap := info.Changed.Sub(one.changed)
	switch {
	case one.file == "": // the first look
	case one.file != source.File:
		one.replaced(gap, info)
	case source.Size < one.size: // its program writes it anew each time
		one.pause, one.doubt, one.whole = 0, false, true
	case source.Size > one.size && one.rested && gap > 0:
		one.pause, one.doubt, one.whole = max(one.pause, gap), false, false
	}
	if one.file != source.File || gap != 0 {
		one.rested = false
	}
	one.file, one.size, one.changed = source.File, source.Size, info.Changed
}

// replaced records that another file has the name. It may be the rest of the file before.
func (h *habit) replaced(gap time.Duration, info beneath.Info) {
	if h.whole || !h.rested || !h.writtenHere || gap <= 0 || gap > resumesWithin ||
		!h.isWrittenHere(info) {
		return
	}
	h.doubt = h.doubt || h.pause == 0
	h.pause = max(h.pause, gap)
}

// rest returns the quiet time of a closed and settled file. It adds a note for users while the file
// waits because of its program's habits.
func (h *Habits) rest(rel string, info beneath.Info, settle time.Duration,
	now time.Time) (time.Duration, reason.Reason) {
	h.mu.Lock()
	defer h.mu.Unlock()
	one := h.of(rel, now)
	one.rested, one.writtenHere = true, one.isWrittenHere(info)
	if !one.writtenHere {
		return settle, reason.Reason{}
	}
	quietTime := writtenQuiet(settle)
	longer := pausedQuiet(one.pause)
	switch {
	case info.Size == 0:
		return max(quietTime, longer, emptyQuiet), reason.New(reason.StillEmpty, "quiet",
			max(quietTime, longer, emptyQuiet))
	case longer <= quietTime:
		return quietTime, reason.Reason{}
	case now.Sub(info.Changed) < longer && one.doubt:
		return longer, reason.New(reason.CameSoonAfter, "pause", one.pause, "quiet", longer)
	case now.Sub(info.Changed) < longer:
		return longer, reason.New(reason.AddedAfterPause, "pause", one.pause, "quiet", longer)
	case one.doubt: // nothing was added, so the file before was complete, too
		one.pause, one.doubt, one.whole = 0, false, true
	}
	return longer, reason.Reason{}
}

// of returns the habit of a name.
func (h *Habits) of(rel string, now time.Time) *habit {
	one := h.names[rel]
	switch {
	case one == nil:
		h.makeRoom(now)
		if h.names == nil {
			h.names = map[string]*habit{}
		}
		one = &habit{}
		h.names[rel] = one
	case !one.changed.IsZero() && now.Sub(one.changed) > one.lasts():
		*one = habit{came: one.came, written: one.written}
	}
	return one
}

// makeRoom removes some habits if there are too many: short-lived ones first, or else any.
func (h *Habits) makeRoom(now time.Time) {
	if len(h.names) < maxHabits {
		return
	}
	const looks = 32
	looked, last := 0, ""
	for rel, one := range h.names {
		if last = rel; one.lasts() == resumesWithin || now.Sub(one.changed) > habitLasts {
			delete(h.names, rel)
		}
		if looked++; looked == looks {
			break
		}
	}
	delete(h.names, last)
}
