package outbox

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"

	"sealpost/agent/ledger"
)

const (
	claimGroup   = 256  // files of one claim
	maxPending   = 4096 // files looked at again soon; what is beyond, the next sweep finds
	maxNotes     = 100  // entries of outbox/ of which people are told that they are not taken
	probeFirst   = 5 * time.Millisecond
	probeLast    = time.Second
	sweepRepeats = 100 * time.Millisecond // between sweeps while there is more than one could note
)

// finder watches outbox/ for finished files and has them claimed in groups. Events only make it quick; the sweep makes it
// certain: everything is found also when no event ever comes.
type finder struct {
	o       *Outbox
	pending map[string]*pending // what is looked at again soon, by name
	missed  bool                // more was seen than pending could hold
}

type pending struct {
	due   time.Time
	probe time.Duration // the step by which a file that is open is asked again
}

// run ends with the context. It returns an error only when claiming fails in the ledger.
func (f *finder) run(ctx context.Context) error {
	watch := newWatch(f.o)
	defer watch.close()
	sweep := time.NewTimer(0)
	defer sweep.Stop()
	due := time.NewTimer(time.Hour)
	defer due.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-sweep.C:
			watch.renew()
			if err := f.sweep(ctx); err != nil {
				return err
			}
			sweep.Reset(f.nextSweep())
		case name := <-watch.names:
			f.soon(name, 0)
			f.drain(watch.names)
			if err := f.look(ctx); err != nil {
				return err
			}
		case <-watch.lost:
			sweep.Reset(0)
		case <-due.C:
			if err := f.look(ctx); err != nil {
				return err
			}
		}
		due.Reset(f.nextDue())
	}
}

func (f *finder) drain(names <-chan string) {
	for {
		select {
		case name := <-names:
			f.soon(name, 0)
		default:
			return
		}
	}
}

func (f *finder) nextSweep() time.Duration {
	if f.missed {
		return sweepRepeats
	}
	return f.o.cfg.Sweep
}

func (f *finder) nextDue() time.Duration {
	next := time.Hour
	for _, p := range f.pending {
		next = min(next, time.Until(p.due))
	}
	return max(next, 0)
}

func (f *finder) soon(name string, after time.Duration) *pending {
	p := f.pending[name]
	if p == nil {
		if len(f.pending) >= maxPending {
			f.missed = true
			return &pending{}
		}
		p = &pending{}
		f.pending[name] = p
	}
	p.due = time.Now().Add(after)
	return p
}

// look examines what is due and claims what is finished.
func (f *finder) look(ctx context.Context) error {
	now := time.Now()
	var group []found
	for name, p := range f.pending {
		if p.due.After(now) {
			continue
		}
		if ready, ok := f.examine(name); ok {
			group = append(group, ready)
		}
		if len(group) == claimGroup {
			break
		}
	}
	return f.o.claim(ctx, group)
}

// sweep looks through outbox/ in pieces, and settles what an earlier claim left unfinished.
func (f *finder) sweep(ctx context.Context) error {
	f.missed = false
	notes := map[string]string{}
	if err := f.o.recoverClaims(ctx); err != nil {
		return err
	}
	dir, err := os.Open(f.o.tray.Outbox())
	if err != nil {
		f.o.note(map[string]string{"outbox": "the folder cannot be read (" + plain(err) + "): make it again, or give sealpost's account the right to it"})
		return nil
	}
	defer dir.Close()
	for ctx.Err() == nil {
		entries, err := dir.ReadDir(claimGroup)
		var group []found
		for _, e := range entries {
			ready, ok := f.examine(e.Name())
			if ok {
				group = append(group, ready)
			} else if why := f.why(e.Name()); why != "" && len(notes) < maxNotes {
				notes[e.Name()] = why
			}
		}
		if err := f.o.claim(ctx, group); err != nil {
			return err
		}
		if err != nil {
			break // io.EOF, or the folder went away: the next sweep says so
		}
	}
	f.o.note(notes)
	return nil
}

// found is a finished file.
type found struct {
	name   string
	source ledger.Source
}

// examine tells whether a file is ready to be claimed, and otherwise sees to it that it is looked at again.
func (f *finder) examine(name string) (found, bool) {
	if temporary(name) {
		delete(f.pending, name)
		return found{}, false
	}
	source, err := finished(filepath.Join(f.o.tray.Outbox(), name), f.o.cfg.Settle, time.Now())
	var wait *later
	switch {
	case err == nil:
		delete(f.pending, name)
		return found{name, source}, true
	case errors.As(err, &wait) && wait.open:
		p := f.soon(name, 0)
		p.probe = min(max(2*p.probe, probeFirst), probeLast)
		p.due = p.due.Add(p.probe)
	case errors.As(err, &wait):
		f.soon(name, wait.after)
	default:
		delete(f.pending, name) // gone, or a person must act: the next sweep looks again
	}
	return found{}, false
}

// why says why an entry is not taken, for people; empty when there is nothing to say yet.
func (f *finder) why(name string) string {
	if temporary(name) {
		return "it has the name of a temporary file, so it is left alone"
	}
	_, err := finished(filepath.Join(f.o.tray.Outbox(), name), f.o.cfg.Settle, time.Now())
	var no *never
	var wait *later
	switch {
	case errors.As(err, &no):
		return no.why
	case errors.As(err, &wait) && wait.open:
		return "it is still being written"
	case err == nil || errors.As(err, &wait) || errors.Is(err, fs.ErrNotExist):
		return ""
	}
	return "it cannot be read: " + plain(err)
}

// watch turns the system's notifications into names to look at. Without them the sweep alone finds everything.
type watch struct {
	o       *Outbox
	w       *fsnotify.Watcher
	names   chan string
	lost    chan struct{}
	done    chan struct{}
	trouble string
}

func newWatch(o *Outbox) *watch {
	w := &watch{o: o, names: make(chan string, claimGroup), lost: make(chan struct{}, 1), done: make(chan struct{})}
	var err error
	if w.w, err = fsnotify.NewWatcher(); err != nil {
		o.log.Warn("no notifications from the system, so files are found by sweeps only", "error", err)
		close(w.done)
		return w
	}
	go w.forward()
	return w
}

// renew sets the watch, which is lost when the folder is renamed or made again; setting it twice is harmless.
func (w *watch) renew() {
	if w.w == nil {
		return
	}
	err := w.w.Add(w.o.tray.Outbox())
	says := ""
	if err != nil {
		says = err.Error()
	}
	if says != "" && says != w.trouble {
		w.o.log.Warn("outbox is not watched, so files are found by sweeps only", "error", err, "sweep", w.o.cfg.Sweep)
	}
	w.trouble = says
}

func (w *watch) forward() {
	defer close(w.done)
	for {
		select {
		case e, ok := <-w.w.Events:
			if !ok {
				return
			}
			if e.Op == fsnotify.Remove {
				continue
			}
			select {
			case w.names <- filepath.Base(e.Name):
			default:
				w.sweepSoon() // the finder is busy: better to look through everything than to queue without bound
			}
		case _, ok := <-w.w.Errors:
			if !ok {
				return
			}
			w.sweepSoon() // an overflow: events were lost
		}
	}
}

func (w *watch) sweepSoon() {
	select {
	case w.lost <- struct{}{}:
	default:
	}
}

func (w *watch) close() {
	if w.w != nil {
		w.w.Close() //nolint:errcheck // it only stops
	}
	<-w.done
}
