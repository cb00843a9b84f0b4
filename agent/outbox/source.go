package outbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"sealpost/agent/ledger"
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

// seen is what lies at a path.
type seen struct {
	fs.FileInfo
	changed time.Time // in any way: content, name or rights, and unlike the modification time nobody can set it
}

// stat identifies what lies at path without following a link.
func stat(path string) (ledger.Source, seen, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return ledger.Source{}, seen{}, err
	}
	return sourceOf(path, info)
}

// sourceOf identifies what was found at path.
func sourceOf(path string, info fs.FileInfo) (ledger.Source, seen, error) {
	file, changed, err := identify(path, info)
	if err != nil {
		return ledger.Source{}, seen{}, err
	}
	return ledger.Source{Size: info.Size(), Entries: 1, ModTime: info.ModTime().UnixNano(), File: file,
		Executable: info.Mode().IsRegular() && info.Mode()&0o111 != 0}, seen{info, changed}, nil
}

// settling says how long things must stay unchanged to count as finished.
type settling struct {
	file, folder time.Duration
}

// finished tells whether what lies at path is complete: it has not changed for the settle time, and nobody has it open
// for writing. Where the second cannot be known, the settle time is at least minimumSettle. A folder is finished as a whole,
// or when a file of its name and .done lies beside it.
func finished(path string, settle settling, now time.Time) (source ledger.Source, folder bool, err error) {
	source, info, err := stat(path)
	if err != nil {
		return source, false, err
	}
	if err := suitable(info); err != nil {
		return source, info.IsDir(), err
	}
	if info.IsDir() {
		if exists(path + doneSuffix) {
			settle.folder = 0
		}
		source, err := finishedTree(path, settle.folder, now)
		return source, true, err
	}
	return source, false, finishedFile(path, info, settle.file, now)
}

func finishedFile(path string, info seen, settle time.Duration, now time.Time) error {
	if wait := settle - sinceChange(info, now); wait > 0 {
		return &later{after: wait}
	}
	open, certain, err := beingWritten(path)
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
	return nil
}

// sinceChange is how long ago the file last changed in any way. A time in the future, from a clock that was wrong, counts as
// long ago: the file would wait for years otherwise.
func sinceChange(info seen, now time.Time) time.Duration {
	d := now.Sub(info.changed)
	if d < -time.Minute {
		return time.Hour
	}
	return d
}

func suitable(info seen) error {
	switch mode := info.Mode(); {
	case mode.IsRegular():
	case mode.IsDir():
	case mode&fs.ModeSymlink != 0:
		return &never{words.IsLink}
	default:
		return &never{words.IsNoFile}
	}
	if !utf8.ValidString(info.Name()) {
		return &never{words.NameNotUTF8}
	}
	return nil
}

// temporary names are of programs that write beside the real file and rename at the end.
func temporary(name string) bool {
	lower := strings.ToLower(name)
	for _, end := range []string{".tmp", ".part", ".partial", ".crdownload", ".filepart", ".swp"} {
		if strings.HasSuffix(lower, end) {
			return true
		}
	}
	for _, start := range []string{"~$", ".~lock.", ".goutputstream-", ".nfs", ".fuse_hidden"} {
		if strings.HasPrefix(lower, start) {
			return true
		}
	}
	return litter(name)
}

// litter is what systems leave in folders for themselves.
func litter(name string) bool {
	lower := strings.ToLower(name)
	return lower == ".ds_store" || lower == "thumbs.db" || lower == "desktop.ini"
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// observe identifies what lies at path: a file, or a folder with all that is in it.
func observe(path string) (ledger.Source, error) {
	source, info, err := stat(path)
	if err != nil || !info.IsDir() {
		return source, err
	}
	sum, err := summarize(path)
	return sum.source, err
}

// same says that two observations are of one unchanged source.
func same(a, b ledger.Source) bool {
	return a.Size == b.Size && a.Entries == b.Entries && a.ModTime == b.ModTime && a.File == b.File
}

// openSource opens a claimed file for sealing, and makes sure that it is the one that was claimed.
func openSource(path string, want ledger.Source) (*os.File, error) {
	f, err := openShared(path)
	if err != nil {
		return nil, err
	}
	got, err := opened(f, path)
	if err == nil && !same(got, want) {
		err = fmt.Errorf("%s: %w", path, errChanged)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

var errChanged = errors.New(words.ChangedSince)
