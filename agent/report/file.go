package report

import (
	"cmp"
	"errors"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"time"

	"sealpost/internal/beneath"
	"sealpost/internal/durable"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// names are those that a status file may have, the first that is free. A file of another keeps its
// name.
var names = []string{"STATUS.txt", "STATUS (sealpost).txt"}

// maxTitle bounds the first line of a status file.
const maxTitle = 200

// file is one status file and its present text. One goroutine keeps it, so that a disk that hangs
// holds up no other file.
type file struct {
	*place
	site     id.Site
	language reason.Language
	contact  string // of the site's admin
	isPage   bool
	other    string // the site's folder, where to look when this file is old; empty: this is it
	log      *slog.Logger
	next     chan Snapshot // at most one: the newest

	// Of the goroutine that keeps it.
	stable  string // the text, without times and progress
	says    string // the text, without the time in its head
	written time.Time
	trouble string // why it cannot be written
}

func newFile(p *place, o Options) *file {
	f := &file{place: p, site: o.Site, language: cmp.Or(o.Language, reason.English),
		contact: o.Contact, log: o.Log, next: make(chan Snapshot, 1)}
	if !p.disks {
		f.other = o.Folder
	}
	return f
}

// offer hands over the newest state, in the place of one that was not taken yet. Only one goroutine
// may call it.
func (f *file) offer(s Snapshot) {
	select {
	case <-f.next:
	default:
	}
	f.next <- s
}

// keep writes each state that is offered. A failure is logged once, and the next state tries again.
func (f *file) keep() {
	for s := range f.next {
		err := f.update(s, time.Now())
		if err == nil || sameText(err) == f.trouble {
			continue
		}
		f.trouble = sameText(err)
		f.log.Warn("a status file cannot be written; trying again", "folder", f.dir, "error", err)
	}
}

// sameText returns the part of an error that is equal each time it happens: without the names of
// temporary files.
func sameText(err error) string {
	var of *fs.PathError
	if errors.As(err, &of) {
		return of.Op + ": " + of.Err.Error()
	}
	return err.Error()
}

// update writes the file if its text has changed, and now and then for progress or its age.
func (f *file) update(s Snapshot, now time.Time) error {
	stable, says := f.render(s)
	// by the clock that users see, also when it was set or the computer has slept
	age := now.Round(0).Sub(f.written.Round(0))
	isRecent := age >= 0 && age < heartbeat
	if isRecent && (f.says == says || (f.stable == stable && age < f.progressInterval())) {
		return nil
	}
	head := heading
	if f.isPage {
		head = pageHead
	}
	err := f.write(head(f, s, now)+says, now)
	if errors.Is(err, errAway) { // the room whose folder it is reports that
		return nil
	}
	if err != nil {
		return err
	}
	f.stable, f.says, f.written, f.trouble = stable, says, now, ""
	return nil
}

// render returns the text of a state without the progress of transfers, and with it.
func (f *file) render(s Snapshot) (stable, says string) {
	if f.isPage {
		return s.page(&lines{language: f.language}, f.place),
			s.page(&lines{language: f.language, moving: true}, f.place)
	}
	return s.text(f.place, f.language), s.textWithProgress(f.place, f.language)
}

// progressInterval returns the time between two writes for progress alone. Users watch a page.
func (f *file) progressInterval() time.Duration {
	if f.isPage {
		return pollInterval
	}
	return progressInterval
}

// names lists the names that the file may have.
func (f *file) names() []string {
	if f.isPage {
		return pageNames
	}
	return names
}

// errAway means that another folder lies in the place of the kept one. Its disk is away, and a
// mount point stays empty.
var errAway = errors.New("away")

// write replaces the file. It is not synced: the content is of the moment.
func (f *file) write(text string, now time.Time) error {
	dir, err := beneath.Open(f.dir)
	if err != nil {
		return err
	}
	defer dir.Close()
	if !f.isHome(dir) {
		return errAway
	}
	for i, name := range f.names() {
		free, err := f.isFree(dir, name, now)
		if err != nil {
			return err
		}
		if !free {
			continue
		}
		if err := dir.Replace(name, []byte(text), 0o644); err != nil {
			return err
		}
		for _, other := range f.names()[i+1:] {
			// it would look as if no agent kept it
			if own, err := isOf(dir, other, f.site); err == nil && own {
				dir.Remove(other) //nolint:errcheck // its text is out of date
			}
		}
		return nil
	}
	return reason.Err("no-status-name", "dir", f.dir, "names", f.names())
}

// isHome reports whether a folder is the one that is kept: something of the site lies in it.
func (f *file) isHome(dir *beneath.Dir) bool {
	if len(f.holds) == 0 || slices.ContainsFunc(f.holds, dir.Exists) {
		return true
	}
	return slices.ContainsFunc(names, func(name string) bool {
		own, err := isOf(dir, name, f.site)
		return err == nil && own
	})
}

// isFree reports whether a status file may take a name. A link may be replaced, as nothing is
// written to where it leads.
func (f *file) isFree(dir *beneath.Dir, name string, now time.Time) (bool, error) {
	info, err := dir.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	if info.Mode&fs.ModeSymlink != 0 {
		dir.Remove(name) //nolint:errcheck // where a link cannot be replaced, the write says so
		return true, nil
	}
	first, err := firstLine(dir, name)
	switch {
	case err != nil: // whose it is cannot be seen now
		return false, err
	case info.IsRegular() && info.Size == 0: // a crash may leave it
		return true, nil
	case isTitle(first, f.site):
		return true, nil
	}
	// Two sites may lie side by side. A file that is old is of a site that is not here any more.
	age := now.Sub(info.ModTime)
	return isAnyTitle(first) && (age < 0 || age >= Old), nil
}

// isOf reports whether a name is that of a status file of a site.
func isOf(dir *beneath.Dir, name string, site id.Site) (bool, error) {
	first, err := firstLine(dir, name)
	return isTitle(first, site), err
}

// title begins every status file, and tells it from a user's own.
func title(site id.Site) reason.Reason { return reason.New("status-title", "site", site) }

// isTitle reports whether a line is the title of a site's file in any language. The language may
// have changed since the file was written.
func isTitle(line string, site id.Site) bool {
	return slices.ContainsFunc(reason.Languages(), func(l reason.Language) bool {
		text := title(site).In(l)
		return line == text || line == pageTitle(text, l)+"</title>"
	})
}

// isAnyTitle reports whether a line is the title of the file of some site.
func isAnyTitle(line string) bool {
	return slices.ContainsFunc(reason.Languages(), func(l reason.Language) bool {
		text := title("").In(l)
		return strings.HasPrefix(line, text) || strings.HasPrefix(line, pageTitle(text, l))
	})
}

// firstLine returns the first line of a file. It is empty for another thing than a file, or one
// that is closed to this account.
func firstLine(dir *beneath.Dir, name string) (string, error) {
	info, err := dir.Lstat(name)
	if err == nil && !info.IsRegular() {
		return "", nil // to open it could do something
	}
	var text []byte
	if err == nil {
		text, err = dir.ReadFile(name, maxTitle)
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) && !durable.InUse(err) {
		return "", nil
	}
	first, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimSuffix(first, "\r"), err
}
