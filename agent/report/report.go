// Package report keeps STATUS.txt: how a site stands, in plain lines, where users look anyway. Each
// has a page for browsers beside it: see page.go.
//
// A file lies in each tray, one beside the inbox, and one in the site's own folder, which tells of
// everything where that is none of these. The package promises that a file is replaced as a whole,
// soon after something has changed; that it is written at most once a second, for progress alone at
// most once a minute, and when nothing changes every ten minutes, so that its age shows a stopped
// agent: after a kill its own text gives its age away. Neither a large backlog nor a disk that
// fails or hangs holds up the other files. A file is not synced: after a crash the next start
// writes it anew.
//
// The folders belong to others: nothing that lies there is followed, waited at or written to, and a
// file of another keeps its name (see file.go). A folder that the configuration names no longer
// gets a last word (see moved.go). The package reads the states that outbox and inbox offer, and
// must not know how they come about.
package report

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"sealpost/internal/backoff"
	"sealpost/internal/beneath"
	"sealpost/internal/id"
	"sealpost/internal/patience"
	"sealpost/internal/reason"
)

const (
	pollInterval     = time.Second      // between two reads while commits are made
	idlePollInterval = 5 * time.Second  // between two reads without a commit
	progressInterval = time.Minute      // between two writes for progress alone
	heartbeat        = 10 * time.Minute // between two writes without a change
	pollBackoff      = 100              // the pause after a read, in times its duration
	maxBackoff       = 4 * time.Minute  // the longest such pause

	// Old is the age of a file that no agent keeps. With all of the above a kept file is younger.
	Old      = 15 * time.Minute
	lastLook = 2 * time.Second // the longest read at the end
)

// Options configure a reporter.
type Options struct {
	Site    id.Site
	Folder  string // of the site; empty: it gets no file of its own
	Trays   []Tray
	Inbox   string // its folder; empty: the site does not receive
	Read    func(context.Context) (Snapshot, error)
	Changes func() uint64 // counts the commits that may change the result of Read
	Memory  Memory
	// Ended returns at the end why the agent has stopped; nil: it was asked to stop.
	Ended    func() (reason.Situation, reason.Reason)
	Language reason.Language // empty: English
	Contact  string          // of the site's admin; empty: none is shown
	Page     bool            // whether each text has a page beside it
	Log      *slog.Logger
}

// Tray is the name and the folder of a tray.
type Tray struct{ Name, Dir string }

// Memory remembers the folders in which status files were written. Remember is durable when it
// returns.
type Memory interface {
	Folders(context.Context) ([]string, error)
	Remember(context.Context, []string) error
}

// Reporter keeps the files of one site.
type Reporter struct {
	o     Options
	files []*file // the texts
	pages []*file
	last  *Snapshot // nil: nothing was read yet
}

// New makes a reporter. Run does the work.
func New(o Options) *Reporter {
	o.Language = cmp.Or(o.Language, reason.English)
	r := &Reporter{o: o}
	for _, p := range places(o) {
		r.files = append(r.files, newFile(p, o))
		if o.Page {
			page := newFile(p, o)
			page.isPage = true
			r.pages = append(r.pages, page)
		}
	}
	return r
}

// place is a folder in which a file is kept, and the matters of that file.
type place struct {
	dir   string
	trays []string // names
	inbox string   // its folder; empty: not of the inbox
	disks bool     // of all other trays and the inbox: whether their disks are there and have room
	// names of which one lies in the folder unless its disk is away; empty: it is the site's own
	holds []string
}

// places lists the folders of a site in which files are kept. These are the trays, the parent of
// the inbox, as the inbox itself holds only received files, and the site's own. A disk that is away
// or full is reported in the site's own folder, as the file beside it cannot tell.
func places(o Options) []*place {
	var all []*place
	in := func(dir string) (p *place, added bool) {
		for _, p := range all {
			if p.dir == dir || isSameFolder(p.dir, dir) {
				return p, false
			}
		}
		p = &place{dir: dir}
		all = append(all, p)
		return p, true
	}
	for _, t := range o.Trays {
		p, _ := in(t.Dir)
		p.trays, p.holds = append(p.trays, t.Name), append(p.holds, "outbox", "sending")
	}
	if o.Inbox != "" {
		p, _ := in(filepath.Dir(o.Inbox))
		p.inbox, p.holds = o.Inbox, append(p.holds, filepath.Base(o.Inbox))
	}
	if o.Folder == "" {
		return all
	}
	p, isNew := in(o.Folder)
	p.disks, p.holds = true, nil
	if isNew {
		p.inbox = o.Inbox
		for _, t := range o.Trays {
			p.trays = append(p.trays, t.Name)
		}
	}
	return all
}

// folderPatience is the longest wait for a folder that hangs.
const folderPatience = 2 * time.Second

// isSameFolder reports whether two paths lead to one folder. It is unknown of a folder that is away
// or hangs.
func isSameFolder(one, other string) bool {
	same, _ := patience.Within(folderPatience, func() bool {
		a, err := identity(one)
		if err != nil {
			return false
		}
		b, err := identity(other)
		return err == nil && a == b
	})
	return same
}

func identity(path string) (beneath.ID, error) {
	dir, err := beneath.Open(path)
	if err != nil {
		return beneath.ID{}, err
	}
	defer dir.Close()
	info, err := dir.Info()
	return info.ID, err
}

// Run keeps the files until the context ends, and says at last that the agent has stopped. Its only
// errors are those of Read and of Memory.
func (r *Reporter) Run(ctx context.Context) error {
	old, err := r.remember(ctx)
	if err != nil {
		return notAfterEnd(ctx, err)
	}
	var keepers sync.WaitGroup
	for _, f := range r.all() {
		keepers.Go(f.keep)
	}
	if !r.o.Page {
		keepers.Go(r.dropPages)
	}
	g, working := errgroup.WithContext(ctx)
	g.Go(func() error { return notAfterEnd(working, r.look(working)) })
	g.Go(func() error { return notAfterEnd(working, r.retire(working, old)) })
	err = g.Wait()
	r.stop(ctx)
	for _, f := range r.all() {
		close(f.next)
	}
	keepers.Wait()
	return err
}

func notAfterEnd(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("status file: %w", err)
}

// look reads how the site stands whenever that may have changed.
func (r *Reporter) look(ctx context.Context) error {
	var seen uint64
	var looked time.Time
	wait := time.Duration(0)
	for backoff.Sleep(ctx, wait) == nil {
		wait = pollInterval
		now, changes := time.Now(), r.o.Changes()
		if changes == seen && now.Sub(looked) < idlePollInterval {
			continue
		}
		s, err := r.o.Read(ctx)
		if err != nil {
			return err
		}
		r.offer(s)
		seen, looked = changes, now
		wait = min(max(pollInterval, pollBackoff*time.Since(now)), maxBackoff)
	}
	return nil
}

// StartFailed writes why the agent has not started. Run is not called then.
func (r *Reporter) StartFailed(end reason.Situation, why reason.Reason) {
	s := Snapshot{Stopped: true, End: end, Why: why}
	for _, f := range r.all() {
		if err := f.update(s, time.Now()); err != nil {
			r.o.Log.Warn("status file not written", "folder", f.dir, "error", err)
		}
	}
}

// stop writes the last state.
func (r *Reporter) stop(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastLook)
	defer cancel()
	s, err := r.o.Read(ctx)
	if err != nil && r.last == nil {
		return
	}
	if err != nil {
		s = *r.last
	}
	s.Stopped, s.End, s.Why = true, reason.Stopped, reason.New("was-stopped")
	if r.o.Ended != nil {
		s.End, s.Why = r.o.Ended()
	}
	r.offer(s)
}

// all lists the texts and the pages.
func (r *Reporter) all() []*file { return slices.Concat(r.files, r.pages) }

// dropPages removes the pages of earlier runs, which nothing keeps any more.
func (r *Reporter) dropPages() {
	for _, f := range r.files {
		if dir, err := beneath.Open(f.dir); err == nil {
			dropPage(dir, f.site)
			dir.Close()
		}
	}
}

// dropPage removes a site's page from a folder.
func dropPage(dir *beneath.Dir, site id.Site) {
	for _, name := range pageNames {
		if own, err := isOf(dir, name, site); err == nil && own {
			dir.Remove(name) //nolint:errcheck // its own text gives its age away
		}
	}
}

func (r *Reporter) offer(s Snapshot) {
	r.last = &s
	for _, f := range r.all() {
		f.offer(s)
	}
}
