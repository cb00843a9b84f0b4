package outbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
	"unicode/utf8"

	"sealpost/agent/ledger"
	"sealpost/internal/beneath"
	"sealpost/internal/words"
)

// minimumSettle is the settle time where the system cannot tell whether a file is still open for writing.
const minimumSettle = 2 * time.Second

// Why an entry of outbox/ is not taken. A *never stays so until a person acts; a *later is asked again.
type (
	never struct{ why string }
	later struct {
		after time.Duration
		open  bool   // it is certain that somebody is writing
		why   string // for people, when there is more to say than that it is not finished
	}
)

func (n *never) Error() string { return n.why }
func (l *later) Error() string { return "still being written" }

// sourceOf returns how a claim remembers what was found.
func sourceOf(info beneath.Info) ledger.Source {
	return ledger.Source{Size: info.Size, Entries: 1, ModTime: info.ModTime.UnixNano(), File: info.ID.String(),
		Executable: info.IsRegular() && info.Mode&0o111 != 0}
}

// finished returns what lies at a path of the tray if it is complete: it has not changed for the settle time, and no program has
// it open for writing. Where the second cannot be known, the settle time is at least minimumSettle. A folder is finished as a
// whole, or when a file of its name and .done lies beside it.
func (h *handles) finished(rel string, settle settling, now time.Time) (source ledger.Source, folder bool, err error) {
	d, name, err := h.at(rel)
	if err != nil {
		return source, false, err
	}
	info, err := d.Lstat(name)
	if err != nil {
		return source, false, err
	}
	if err := suitable(info); err != nil {
		return source, info.IsDir(), err
	}
	if info.IsDir() {
		if d.Exists(name + doneSuffix) {
			settle.folder = 0
		}
		source, err := h.finishedTree(d, name, settle.folder, now)
		return source, true, err
	}
	source = sourceOf(info)
	settle.look(source, info, now)
	if err := h.finishedFile(d, info, settle.file, now); err != nil {
		return source, false, err
	}
	return source, false, settle.rest(info, now)
}

func (h *handles) finishedFile(d *beneath.Dir, info beneath.Info, settle time.Duration, now time.Time) error {
	if wait := settle - sinceChange(info, now); wait > 0 {
		return &later{after: wait}
	}
	open, certain, err := d.HasWriter(info.Name)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return &never{words.MayNotRead}
	case err != nil:
		return err
	case open:
		return &later{open: true}
	case !certain:
		if wait := minimumSettle - sinceChange(info, now); wait > 0 {
			return &later{after: wait}
		}
	}
	return h.mayDrop(d, info)
}

// sinceChange is how long ago the file last changed in any way. A time in the future, from a clock that was wrong, counts as
// long ago: the file would wait for years otherwise.
func sinceChange(info beneath.Info, now time.Time) time.Duration {
	d := now.Sub(info.Changed)
	if d < -time.Minute {
		return time.Hour
	}
	return d
}

func suitable(info beneath.Info) error {
	switch mode := info.Mode; {
	case mode.IsRegular():
	case mode.IsDir():
	case mode&fs.ModeSymlink != 0:
		return &never{words.IsLink}
	default:
		return &never{words.IsNoFile}
	}
	if !utf8.ValidString(info.Name) {
		return &never{words.NameNotUTF8}
	}
	return nil
}

// observe identifies what lies at a path of the tray: a file, or a folder with all that is in it.
func (h *handles) observe(rel string) (ledger.Source, error) {
	d, name, err := h.at(rel)
	if err != nil {
		return ledger.Source{}, err
	}
	info, err := d.Lstat(name)
	if err != nil {
		return ledger.Source{}, err
	}
	if !info.IsDir() {
		return sourceOf(info), nil
	}
	sum, err := summarize(d, name)
	return sum.source, err
}

// same says that two observations are of one unchanged source.
func same(a, b ledger.Source) bool {
	return a.Size == b.Size && a.Entries == b.Entries && a.ModTime == b.ModTime && a.File == b.File
}

// openSource opens a claimed file for sealing, if it is the one that was claimed.
func openSource(d *beneath.Dir, name string, want ledger.Source) (*os.File, error) {
	f, info, err := d.Open(name)
	if err != nil {
		return nil, err
	}
	if !same(sourceOf(info), want) {
		return nil, errors.Join(fmt.Errorf("%s: %w", f.Name(), errChanged), f.Close())
	}
	return f, nil
}

var errChanged = errors.New(words.ChangedSince)
