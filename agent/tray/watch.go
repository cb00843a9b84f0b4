package tray

import (
	"errors"
	"io/fs"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"

	"sealpost/internal/durable"
	"sealpost/internal/reason"
)

// Watch turns the system's notifications into names to look at. Notifications may be missing, get
// lost or stop. Without them the sweep finds everything, but later.
type Watch struct {
	Names chan string   // entries of outbox/ to look at, by their paths in it
	Soon  chan struct{} // requests an early sweep

	t       *Tray
	sweep   time.Duration           // the interval of sweeps
	astray  func(part, name string) // receives new entries beside outbox/
	w       *fsnotify.Watcher       // nil: the system gives none for now
	done    chan struct{}           // closed when nothing is forwarded any more
	trouble error                   // of the present sweep: a folder cannot be watched
}

// NewWatch makes a watch without folders. astray receives the new entries of the folders beside
// outbox/.
func (t *Tray) NewWatch(sweep time.Duration, astray func(part, name string)) *Watch {
	return &Watch{t: t, sweep: sweep, astray: astray, Names: make(chan string, 2*readGroup),
		Soon: make(chan struct{}, 1)}
}

// Begin starts a sweep, and End ends it. Each sweep retries a missing watch: other programs may
// have released some.
func (w *Watch) Begin() {
	w.trouble = nil
	if w.w != nil {
		return
	}
	var err error
	if w.w, err = fsnotify.NewWatcher(); err != nil {
		w.w, w.trouble = nil, err
		return
	}
	w.done = make(chan struct{})
	go w.forward(w.w)
}

// End returns the reason that a folder is not watched; none: all are.
func (w *Watch) End() reason.Reason {
	if w.trouble == nil {
		return reason.Reason{}
	}
	switch linux := runtime.GOOS == "linux"; {
	case linux && errors.Is(w.trouble, syscall.EMFILE):
		return reason.New("no-instances", "every", w.sweep)
	case linux && errors.Is(w.trouble, syscall.ENOSPC):
		return reason.New("no-watches", "every", w.sweep)
	}
	return reason.New("not-watched", "why", Plain(w.trouble), "every", w.sweep)
}

// Add watches a folder, and reports whether it was there. A watch is lost when its folder is
// renamed or made again, or under a new mount. So each sweep adds it again, which is harmless.
func (w *Watch) Add(dir string) (isThere bool) {
	if w.w == nil {
		return true
	}
	err := w.w.Add(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	if err != nil {
		w.trouble = err
	}
	return true
}

func (w *Watch) forward(from *fsnotify.Watcher) {
	defer close(w.done)
	for {
		select {
		case e, ok := <-from.Events:
			if !ok {
				return
			}
			w.tell(e)
		case err, ok := <-from.Errors:
			if !ok {
				return
			}
			w.t.Lost()
			w.t.Log.Info("notifications were lost, so everything is looked through", "reason", err)
			w.SweepSoon()
		}
	}
}

func (w *Watch) tell(e fsnotify.Event) {
	outbox := w.t.outbox()
	rel, below := strings.CutPrefix(e.Name, durable.Join(outbox, ""))
	rel = filepath.ToSlash(rel)
	switch part, name := filepath.Split(e.Name); {
	case !below && filepath.Dir(filepath.Clean(part)) == w.t.Dir && e.Op.Has(fsnotify.Create):
		w.astray(filepath.Base(part), name)
	case e.Name == outbox:
		w.t.Lost()
		// outbox/ itself was renamed or removed, or has other rights
		w.SweepSoon()
	case !below, e.Op == fsnotify.Remove:
	default:
		w.t.Hear(rel, e.Op)
		select {
		case w.Names <- rel:
		default:
			// the finder is busy: a sweep replaces an unbounded queue
			w.SweepSoon()
		}
	}
}

// SweepSoon requests an early sweep.
func (w *Watch) SweepSoon() {
	select {
	case w.Soon <- struct{}{}:
	default:
	}
}

// Close ends the watch.
func (w *Watch) Close() {
	if w.w != nil {
		w.w.Close() //nolint:errcheck // it only stops
		<-w.done
	}
}
