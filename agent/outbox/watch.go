package outbox

import (
	"errors"
	"io/fs"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/fsnotify/fsnotify"

	"sealpost/internal/words"
)

// watch turns the system's notifications into names to look at. They may be missing, get lost or stop coming: without them
// the sweep alone finds everything, and people are told that it takes longer.
type watch struct {
	t       *tray
	w       *fsnotify.Watcher // nil: the system gives none for now
	names   chan string
	lost    chan struct{} // something has to be looked for everywhere
	done    chan struct{} // closed when nothing is forwarded any more
	trouble error         // why something is not watched, as the present sweep found it
}

func newWatch(t *tray) *watch {
	return &watch{t: t, names: make(chan string, claimGroup), lost: make(chan struct{}, 1)}
}

// begin is called before a sweep, and end after it. Each sweep tries again what could not be had: others may have given it
// back.
func (w *watch) begin() {
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

// end says in words for people why something is not watched; "": all is.
func (w *watch) end() string {
	if w.trouble == nil {
		return ""
	}
	every := words.Duration(w.t.Sweep)
	switch linux := runtime.GOOS == "linux"; {
	case linux && errors.Is(w.trouble, syscall.EMFILE):
		return words.NoInstances(every)
	case linux && errors.Is(w.trouble, syscall.ENOSPC):
		return words.NoWatches(every)
	}
	return words.NotWatched(plain(w.trouble), every)
}

// add watches a folder, and says whether it was there. A watch is lost when the folder is renamed, made again, or something is
// mounted there, so that each sweep adds it anew, which is harmless.
func (w *watch) add(dir string) (there bool) {
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

func (w *watch) forward(from *fsnotify.Watcher) {
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
			w.t.lost()
			w.t.log.Info("notifications were lost, so everything is looked through", "reason", err)
			w.sweepSoon()
		}
	}
}

func (w *watch) tell(e fsnotify.Event) {
	outbox := w.t.Outbox()
	rel, below := strings.CutPrefix(e.Name, in(outbox, ""))
	rel = filepath.ToSlash(rel)
	switch part, name := filepath.Split(e.Name); {
	case !below && filepath.Dir(filepath.Clean(part)) == w.t.Dir && e.Op.Has(fsnotify.Create):
		w.t.hearAstray(filepath.Base(part), name)
	case e.Name == outbox:
		w.t.lost()
		w.sweepSoon() // outbox itself was renamed, removed or given other rights; it is nothing to be sent
	case !below, e.Op == fsnotify.Remove:
	default:
		w.t.hear(rel, e.Op)
		select {
		case w.names <- rel:
		default:
			w.sweepSoon() // the finder is busy: better to look through everything than to queue without bound
		}
	}
}

func (w *watch) sweepSoon() { poke(w.lost) }

func (w *watch) close() {
	if w.w != nil {
		w.w.Close() //nolint:errcheck // it only stops
		<-w.done
	}
}
