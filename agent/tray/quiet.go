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
	// itself: its program may close it and go on, and nothing tells of it beforehand. A longer
	// settle time is kept.
	writtenFactor = 2.25
	writtenMost   = 4500 * time.Millisecond
	// pausedMost bounds the quiet time of a file whose program has paused.
	pausedMost = 10 * time.Minute
	// emptyQuiet is the quiet time of an empty file that was made in outbox/ itself. Many programs
	// make a file first and fill it later.
	emptyQuiet = time.Minute
	// resumesWithin is how soon after a change of a file another file of its name may be its rest.
	resumesWithin = 2 * time.Minute
	// habitLasts is how long a name's pauses are remembered: an instrument writes it again
	// tomorrow.
	habitLasts = 24 * time.Hour
	// oldContent is how much older than the last change of any kind the content of a file must be
	// for the file to count as moved, or copied with its time.
	oldContent = 2 * time.Second
	maxHabits  = 8192
)

// Settling is how long things must stay unchanged to count as finished.
type Settling struct {
	File, Folder time.Duration

	Habits  *Habits   // of the tray; nil: nothing is known of the program
	Rel     string    // the file's path in outbox/
	Claimed time.Time // when a file in sending/ was taken that has changed since; zero: it has not
}

// look notes the state of a file.
func (s Settling) look(source Source, info beneath.Info, now time.Time) {
	if s.Habits != nil && s.File > 0 {
		s.Habits.look(s.Rel, source, info, now)
	}
}

// rest returns a *later for a file that is closed and settled while its program may still go on.
func (s Settling) rest(info beneath.Info, now time.Time) error {
	quiet, why := s.File, reason.Reason{}
	switch {
	case s.File == 0: // the admin wants no waiting
	case s.Habits != nil:
		quiet, why = s.Habits.rest(s.Rel, info, s.File, now)
	case !s.Claimed.IsZero():
		quiet = resumedQuiet(info.Changed.Sub(s.Claimed), s.File)
	}
	if wait := quiet - sinceChange(info, now); wait > 0 {
		return &Later{After: wait, Why: why}
	}
	return nil
}

// writtenQuiet returns the quiet time of a file that was written in outbox/ itself.
func writtenQuiet(settle time.Duration) time.Duration {
	return max(settle, min(time.Duration(writtenFactor*float64(settle)), writtenMost))
}

// pausedQuiet returns the quiet time of a file whose program has paused for so long.
func pausedQuiet(longest time.Duration) time.Duration {
	return min(longest+longest/2, pausedMost)
}

// resumedQuiet returns the quiet time of a file that was changed in sending/ so long after its
// claim.
func resumedQuiet(pause, settle time.Duration) time.Duration {
	if pause <= 0 || pause > resumesWithin {
		return writtenQuiet(settle)
	}
	return max(writtenQuiet(settle), pausedQuiet(pause))
}

// Habits remembers by name how the files of a tray are written. A restart forgets it.
type Habits struct {
	mu    sync.Mutex        // guards names
	names map[string]*habit // by their path in outbox/
}

// habit is how the files of one name are written.
type habit struct {
	file    string    // its identity at the last look
	size    int64     // at the last look
	changed time.Time // at the last look
	rested  bool      // it was closed and settled since: whatever is added comes after a pause
	here    bool      // it was written here when it rested

	pause time.Duration // the longest so far; zero: none
	doubt bool          // the pause lies between two files, and each of them may be complete
	whole bool          // each file of this name is complete when it rests

	came    bool // the system told of a new entry of this name
	written bool // the system told of a write into it since
}

// lasts returns how long a habit is remembered after the last change of its file.
func (h *habit) lasts() time.Duration {
	if h.pause > 0 || h.whole {
		return habitLasts
	}
	return resumesWithin
}

// isWrittenHere reports whether a file was written in outbox/ itself, as far as anything tells.
// Only Linux tells reliably that nothing was written. An empty file waits for its content.
func (h *habit) isWrittenHere(info beneath.Info) bool {
	if info.Changed.Sub(info.ModTime) >= oldContent {
		return false
	}
	return runtime.GOOS != "linux" || !h.came || h.written || info.Size == 0
}

// Hear notes a notification about an entry of outbox/.
func (t *Tray) Hear(rel string, op fsnotify.Op) {
	if dir, name := split(rel); NatureOf(name) != Ordinary {
		t.openFiles.note(dir, name)
	} else if t.Settle > 0 {
		t.Habits.hear(rel, op, time.Now())
	}
}

// Lost notes that notifications were lost.
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

// replaced notes that another file has the name, which may be the rest of the one before.
func (h *habit) replaced(gap time.Duration, info beneath.Info) {
	if h.whole || !h.rested || !h.here || gap <= 0 || gap > resumesWithin || !h.isWrittenHere(info) {
		return
	}
	h.doubt = h.doubt || h.pause == 0
	h.pause = max(h.pause, gap)
}

// rest returns the quiet time of a file that is closed and settled. It returns a note for users as
// well while a file waits for its program's habits.
func (h *Habits) rest(rel string, info beneath.Info, settle time.Duration, now time.Time) (time.Duration, reason.Reason) {
	h.mu.Lock()
	defer h.mu.Unlock()
	one := h.of(rel, now)
	one.rested, one.here = true, one.isWrittenHere(info)
	if !one.here {
		return settle, reason.Reason{}
	}
	quiet := writtenQuiet(settle)
	longer := pausedQuiet(one.pause)
	switch {
	case info.Size == 0:
		return max(quiet, longer, emptyQuiet), reason.New(reason.StillEmpty, "quiet",
			max(quiet, longer, emptyQuiet))
	case longer <= quiet:
		return quiet, reason.Reason{}
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

// makeRoom drops some habits if there are too many: those that say least, or else any.
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
