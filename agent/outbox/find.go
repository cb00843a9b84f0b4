package outbox

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"sealpost/agent/ledger"
	"sealpost/agent/tray"
	"sealpost/internal/reason"
)

const (
	claimGroup   = 512  // files of one claim at most; see batches
	readGroup    = 256  // entries of a folder that are read at once
	maxPending   = 4096 // bounds finder.pending; the next sweep finds other files
	maxNotes     = 100  // bounds the notes on entries of outbox/
	probeFirst   = 5 * time.Millisecond
	probeLast    = time.Second
	folderProbe  = time.Second            // a folder is looked through as a whole, so less often
	sweepRepeats = 100 * time.Millisecond // before an early sweep for missed entries or claims
	absentAgain  = time.Second            // between sweeps while outbox/ is missing
	// sweepRests spaces early sweeps: after one that found nothing new comes a pause of this many
	// times its duration.
	sweepRests = 10
)

// finder watches outbox/ for finished files, and claims them in groups. Notifications only make it
// faster: sweeps find every file without them.
type finder struct {
	t        *box
	watch    *tray.Watch
	pending  map[string]*pending // entries with a scheduled look, by path in outbox/
	missed   bool                // an entry may be neither pending nor notified of: sweep early
	absent   bool                // the last sweep found no outbox/
	next     time.Time           // of the next sweep
	rested   time.Time           // no early sweep before this time
	claims   int                 // messages claimed so far; a sweep that adds none found nothing
	looked   map[string]looked   // the last looks through the folders beside outbox/
	unmarked unmarked            // entries that wait for their markers
	later    later               // the comparisons of delivered messages
	left     leftFiles           // files that repeat delivered ones
	claiming claiming
	// requests an early sweep: a claim was not completed
	recheckClaims chan struct{}
	claimers      *errgroup.Group // claim groups and sync their small files, beside the sweeps
	bulkWork      *errgroup.Group // syncs, copies and reads large files, so that no claim waits
}

// The limits of the goroutines in finder.claimers and finder.bulkWork.
const (
	claimWorkers = 3
	bulkWorkers  = 2
)

// pending is an entry of outbox/ with a scheduled look.
type pending struct {
	due    time.Time
	probe  time.Duration // the pause between looks at an open file
	costly bool          // a folder: not looked through before it is due
	open   time.Time     // since when a program is known to write it; zero: none
	why    reason.Reason
	rests  bool // it waits for its settle time only
}

func newFinder(t *box) *finder {
	return &finder{t: t, pending: map[string]*pending{}, looked: map[string]looked{},
		recheckClaims: make(chan struct{}, 1)}
}

// run ends with the context. It returns an error only when claiming fails in the ledger.
func (f *finder) run(ctx context.Context) error {
	f.watch = f.t.files.NewWatch(f.t.Sweep, f.t.hearAstray)
	defer f.watch.Close()
	f.claimers, ctx = errgroup.WithContext(ctx)
	f.claimers.SetLimit(claimWorkers)
	f.bulkWork, ctx = errgroup.WithContext(ctx)
	f.bulkWork.SetLimit(bulkWorkers)
	// in this order: claimers start bulk work
	return errors.Join(f.loop(ctx), f.claimers.Wait(), f.bulkWork.Wait())
}

func (f *finder) loop(ctx context.Context) error {
	f.next = time.Now()
	sweep := time.NewTimer(0)
	defer sweep.Stop()
	due := time.NewTimer(time.Hour)
	defer due.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-sweep.C:
			if err := f.sweep(ctx); err != nil {
				return err
			}
		case name := <-f.watch.Names:
			f.schedule(name, 0)
			f.drain(f.watch.Names)
			if err := f.look(ctx); err != nil {
				return err
			}
		case <-f.watch.Soon:
			f.sweepEarly(0)
		case <-f.recheckClaims:
			f.sweepEarly(sweepRepeats)
		case <-due.C:
			if err := f.look(ctx); err != nil {
				return err
			}
		}
		if f.missed {
			f.sweepEarly(sweepRepeats)
		}
		f.countSettling()
		sweep.Reset(time.Until(f.next))
		due.Reset(f.nextDue())
	}
}

// sweepEarly makes the next sweep start within a time, but not before f.rested. It never delays a
// sweep.
func (f *finder) sweepEarly(after time.Duration) {
	at := time.Now().Add(after)
	if at.Before(f.rested) {
		at = f.rested
	}
	if at.Before(f.next) {
		f.next = at
	}
}

func (f *finder) drain(names <-chan string) {
	for {
		select {
		case name := <-names:
			f.schedule(name, 0)
		default:
			return
		}
	}
}

func (f *finder) nextDue() time.Duration {
	next := time.Hour
	for _, p := range f.pending {
		next = min(next, time.Until(p.due))
	}
	return max(next, 0)
}

// countSettling updates the status: the numbers of entries that settle or wait for their markers.
func (f *finder) countSettling() {
	n := int64(0)
	for _, p := range f.pending {
		if p.rests {
			n++
		}
	}
	f.t.mu.Lock()
	defer f.t.mu.Unlock()
	f.t.settling, f.t.unmarked = n, f.unmarked.waiting()
}

// schedule plans a look at an entry of outbox/ after a time. If there are too many, it leaves the
// entry to the next sweep.
func (f *finder) schedule(name string, after time.Duration) *pending {
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

// look examines the entries that are due, and claims finished ones.
func (f *finder) look(ctx context.Context) error {
	now := time.Now()
	h, err := f.t.open()
	if err != nil {
		clear(f.pending) // do not retry in a loop; the next sweep finds or reports them
		f.missed = true
		return nil
	}
	defer h.Close()
	home, err := f.t.atHome(ctx, h)
	var batches batches
	for name, p := range f.pending {
		if p.due.After(now) {
			continue
		}
		if ready, _ := f.ready(ctx, h, name); ready != nil {
			batches.add(*ready)
			f.t.forgetNote(name)
		}
		h.Relax()
		if home && err == nil {
			f.claimFull(ctx, &batches)
		}
	}
	if err != nil || !home {
		return ignoreCancel(ctx, err) // the next sweep reports it
	}
	f.claim(ctx, batches.rest())
	return nil
}

// sweep looks through outbox/, resumes unfinished claims, and schedules the next sweep.
func (f *finder) sweep(ctx context.Context) error {
	begun, claims := time.Now(), f.claims
	f.missed = false
	f.watch.Begin()
	losses := f.t.files.BeginSweep()
	notes := map[string]reason.Reason{}
	f.unmarked = unmarked{}
	f.left.next()
	if err := f.sweepTray(ctx, notes); err != nil {
		return ignoreCancel(ctx, err)
	}
	whyLate := f.watch.End()
	f.t.note(notes, whyLate)
	f.t.files.EndSweep(losses, whyLate.IsZero() && !f.absent)
	now := time.Now()
	f.next, f.rested = now.Add(f.t.Sweep), now
	if f.absent { // a folder that is missing cannot be watched
		f.next = now.Add(min(f.t.Sweep, absentAgain))
	}
	if f.claims == claims {
		f.rested = now.Add(min(sweepRests*now.Sub(begun), f.t.Sweep))
	}
	return nil
}

// sweepTray does the work of a sweep.
func (f *finder) sweepTray(ctx context.Context, notes map[string]reason.Reason) error {
	h, err := f.t.open()
	if err == errSilent { // the status reports it, and nothing is missing
		f.absent = true
		return nil
	}
	if err != nil {
		f.absent = true
		return f.t.noteAbsent(ctx, err, notes)
	}
	defer h.Close()
	whole, err := f.t.whole(ctx, h, notes)
	f.absent = !whole
	if err != nil || !whole {
		return err
	}
	if err := f.recoverClaims(ctx, h); err != nil {
		return err
	}
	f.sweepDir(ctx, h, "", notes)
	err = errors.Join(f.findAstray(ctx, h), f.compareDelivered(ctx, h))
	f.t.leftAlone(h, notes)
	return err
}

// sweepDir looks through outbox/ or one address folder in it, and claims finished files in groups.
func (f *finder) sweepDir(ctx context.Context, h *handles, rel string,
	notes map[string]reason.Reason) {
	part := path.Join(tray.OutboxPart, rel)
	if !f.t.canTake(ctx, h, rel, notes) {
		return
	}
	watched := f.watch.Add(filepath.Join(f.t.Dir, filepath.FromSlash(part)))
	dir, err := h.Dir(part)
	if err != nil {
		f.absent = f.absent || rel == ""
		notes[part] = folderUnreadable(err)
		return
	}
	h.ReadAhead(rel, dir)
	if !watched { // it was made after the call of Add, and is not watched yet
		f.missed = true
	}
	var batches batches
	err = dir.Each(func(entries []fs.DirEntry) error {
		f.t.files.NoteLocks(rel, entries)
		found := 0
		for _, e := range entries {
			name := tray.Under(rel, e.Name())
			if e.IsDir() && tray.IsAddress(name) {
				f.sweepDir(ctx, h, name, notes)
				h.Forget(path.Join(tray.OutboxPart, name))
				continue
			}
			ready, why := f.ready(ctx, h, name)
			if ready != nil {
				found++
				batches.add(*ready)
			} else if !why.IsZero() {
				addNote(notes, name, why)
			}
		}
		f.claimFull(ctx, &batches)
		if found < len(entries) { // claim now: many other entries may follow
			f.claim(ctx, batches.rest())
		}
		return ctx.Err()
	})
	f.claim(ctx, batches.rest())
	if ctx.Err() == nil && err != nil {
		notes[part] = folderUnreadable(err) // it went away meanwhile, or may not be listed
	}
}

// found is a finished file or folder in outbox/.
type found struct {
	dir, name string // dir is the folder under outbox/, mostly empty
	address   string
	folder    bool
	source    ledger.Source
}

// rel returns the path in outbox/.
func (f found) rel() string { return tray.Under(f.dir, f.name) }

// examine returns an entry of outbox/ if it is ready to be claimed. Otherwise it schedules another
// look where needed, and returns the reason for users, if any. rel is relative to outbox/.
func (f *finder) examine(h *handles, rel string) (ready *found, why reason.Reason) {
	if p := f.pending[rel]; p != nil && p.costly && time.Now().Before(p.due) {
		return nil, p.why
	}
	f.unmarked.forget(rel)
	if f.claiming.has(rel) { // another file of that name may follow its move
		f.schedule(rel, probeFirst)
		return nil, f.t.whyNotClaimed(rel) // of an earlier try
	}
	if isMarker, why := f.examineMarker(h, rel); isMarker {
		delete(f.pending, rel)
		return nil, why
	}
	if isLeft, why := f.leaves(h, rel); isLeft {
		delete(f.pending, rel)
		return nil, why
	}
	address, err := f.t.addressOf(path.Dir(rel))
	if err != nil {
		delete(f.pending, rel)
		return nil, reason.New("no-address", "why", err)
	}
	if why := f.t.whyNotClaimed(rel); !why.IsZero() {
		delete(f.pending, rel)
		return nil, why
	}
	settle := tray.Settling{File: f.t.Settle, Folder: f.t.FolderSettle,
		Habits: &f.t.files.Habits, Rel: rel}
	if f.t.OnlyMarked {
		if waits, why := f.waitsForMarker(h, rel, time.Now()); waits {
			delete(f.pending, rel)
			return nil, why
		}
		settle.File, settle.Folder = 0, 0
	}
	if why := h.OpenElsewhere(rel, time.Now()); !why.IsZero() {
		f.schedule(rel, tray.LockAgain)
		return nil, why
	}
	source, folder, err := h.finished(tray.OutboxPart+"/"+rel, settle, time.Now())
	if err == nil {
		delete(f.pending, rel)
		dir := path.Dir(rel)
		if dir == "." {
			dir = ""
		}
		return &found{dir: dir, name: path.Base(rel), address: address, folder: folder,
			source: source}, reason.Reason{}
	}
	return nil, f.lookAgain(rel, err, folder)
}

// leaves reports whether an entry of outbox/ is left alone because of its name or its place. It
// returns the note for users, if any.
func (f *finder) leaves(h *handles, rel string) (isLeft bool, why reason.Reason) {
	base := path.Base(rel)
	if base == tray.AsideName || !h.CannotCopy(path.Dir(rel)).IsZero() {
		return true, reason.Reason{} // the sweep takes care of it
	}
	if k, _ := tray.KindOf(base); k != nil {
		return true, h.LeaveAlone(rel, k, time.Now())
	}
	switch {
	case tray.IsAddress(rel) && h.IsDir(tray.OutboxPart+"/"+rel):
		f.watch.SweepSoon() // it is new: it must be watched, and may have entries
		return true, reason.Reason{}
	case ownNote(base):
		return true, reason.New("own-note")
	}
	why = f.t.leavesAlone(base)
	return !why.IsZero(), why
}

// lookAgain schedules another look at an entry that is not finished, and returns the note for
// users.
func (f *finder) lookAgain(rel string, err error, folder bool) (why reason.Reason) {
	var wait *tray.Later
	var no *tray.Never
	switch {
	case errors.As(err, &wait) && wait.Open:
		p := f.schedule(rel, 0)
		p.probe = min(max(2*p.probe, probeFirst), probeLast)
		if folder {
			p.probe = max(p.probe, folderProbe)
		}
		if p.open.IsZero() {
			p.open = time.Now()
		}
		p.due, p.costly, p.rests = p.due.Add(p.probe), folder, false
		p.why = reason.New(reason.StillWritten, "since", p.open)
		return p.why
	case errors.As(err, &wait):
		p := f.schedule(rel, wait.After)
		p.costly, p.open, p.why = folder, time.Time{}, wait.Why
		p.rests = wait.Why.IsZero()
		return p.why
	}
	delete(f.pending, rel) // gone, or a user must act: the next sweep looks again
	switch {
	case errors.As(err, &no):
		return no.Why
	case errors.Is(err, fs.ErrNotExist):
		return reason.Reason{}
	}
	return reason.New("unreadable", "why", tray.Plain(err))
}
