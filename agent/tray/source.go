package tray

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
	"unicode/utf8"

	"sealpost/internal/beneath"
	"sealpost/internal/reason"
)

// minimumSettle is the settle time where the system cannot report writers of a file.
const minimumSettle = 2 * time.Second

// MaxSize bounds the content of a file, or of a folder as a whole, in bytes. The hub takes no
// larger envelope. A sparse file can be of any size.
const MaxSize = 1 << 40

// The errors of entries of outbox/ that are not taken. A *Never lasts until a user acts; after a
// *Later the entry is examined again.
type (
	Never struct{ Why reason.Reason }
	Later struct {
		After time.Duration
		Open  bool          // a program has it open for writing
		Why   reason.Reason // none: it is just not finished
	}
)

func (n *Never) Error() string { return n.Why.String() }

// Unwrap returns the reason as an error.
func (n *Never) Unwrap() error { return n.Why.AsError() }

func (l *Later) Error() string { return "still being written" }

// Source identifies a file or folder. If a field differs, it is another one, or has changed.
type Source struct {
	Size       int64  // bytes; of all files in a folder
	Entries    int64  // 1 for a file; of a folder: its entries at all levels, and itself
	ModTime    int64  // nanoseconds, from 1970 to 2242; the newest in a folder
	File       string // device and inode, or volume and file id
	Executable bool   // of a file
}

// SourceOf returns the source of a file.
func SourceOf(info beneath.Info) Source {
	return Source{Size: info.Size, Entries: 1, ModTime: nanoseconds(info.ModTime),
		File: info.ID.String(), Executable: info.IsRegular() && info.Mode&0o111 != 0}
}

// maxTime is the last time that an archive can hold, in nanoseconds: in the year 2242.
const maxTime = 8589934591 * int64(time.Second)

// nanoseconds returns a time for a Source. FORMAT.md clamps times before 1970 and after 2242.
func nanoseconds(t time.Time) int64 {
	switch seconds := t.Unix(); {
	case seconds < 0:
		return 0
	case seconds >= maxTime/int64(time.Second):
		return maxTime
	}
	return t.UnixNano()
}

// clamped clamps a time of a Source. Rows of earlier versions have times outside the limits.
func clamped(nanoseconds int64) int64 { return min(max(nanoseconds, 0), maxTime) }

// Finished returns the source of the entry at a path if it is finished, or a *Later or *Never. A
// finished file has not changed for the settle time, and no program has it open for writing. If the
// system cannot report writers, the settle time is at least minimumSettle, and on a share
// ShareSettle. A folder is finished as a whole, or when its marker lies beside it.
func (h *Handles) Finished(rel string, settle Settling,
	now time.Time) (source Source, folder bool, err error) {
	d, name, err := h.At(rel)
	if err != nil {
		return source, false, err
	}
	info, err := d.Lstat(name)
	if err == nil {
		err = suitable(info)
	}
	if err != nil {
		h.t.looks.forget(rel)
		return source, info.IsDir(), err
	}
	if info.IsDir() {
		if len(h.t.markers(d, info)) > 0 {
			settle.Folder = 0
		}
		source, err = h.finishedTree(d, rel, settle.Folder, now)
	} else {
		source, err = h.finishedOne(d, rel, info, settle, now)
	}
	if err == nil {
		h.t.looks.forget(rel)
	}
	return source, info.IsDir(), err
}

// finishedOne returns the source of a file if it is finished, or a *Later or *Never.
func (h *Handles) finishedOne(d *beneath.Dir, rel string, info beneath.Info, settle Settling,
	now time.Time) (Source, error) {
	source := SourceOf(info)
	if d.Class() == beneath.Shared {
		settle.File = max(settle.File, h.t.ShareSettle)
		rested, err := h.t.looks.rested(rel, source, settle.File, now,
			func() (uint64, error) { return fileEnds(d, info.Name) })
		if err != nil {
			return source, mayNotRead(err)
		}
		now = info.Changed.Add(rested) // by the server's clock
	}
	settle.look(source, info, now)
	if err := h.finishedFile(d, info, settle.File, now); err != nil {
		return source, err
	}
	return source, settle.rest(info, now)
}

// finishedFile returns nil if a file is finished and this tray may send it.
func (h *Handles) finishedFile(d *beneath.Dir, info beneath.Info, settle time.Duration,
	now time.Time) error {
	if wait := settle - sinceChange(info, now); wait > 0 {
		return &Later{After: wait}
	}
	writer, err := d.Writer(info.Name)
	if err != nil {
		return mayNotRead(err)
	}
	switch writer {
	case beneath.HasWriter:
		return &Later{Open: true}
	case beneath.Unknown:
		if wait := minimumSettle - sinceChange(info, now); wait > 0 {
			return &Later{After: wait}
		}
	}
	return h.mayDrop(d, info)
}

// mayNotRead returns a *Never for an error of missing rights.
func mayNotRead(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return &Never{reason.New(reason.MayNotRead)}
	}
	return err
}

// sinceChange returns the time since the last change of a file of any kind. A time in the future,
// from a wrong clock, counts as long ago: otherwise the file could wait for years.
func sinceChange(info beneath.Info, now time.Time) time.Duration {
	d := now.Sub(info.Changed)
	if d < -time.Minute {
		return time.Hour
	}
	return d
}

// tooLarge returns the reason of content above MaxSize.
func tooLarge() reason.Reason { return reason.New("too-large", "most", reason.Size(MaxSize)) }

// cannotBeSent returns the reason of a folder with an entry that cannot be sent.
func cannotBeSent(rel string, why reason.Reason) error {
	return &Never{reason.New("cannot-be-sent", "name", rel, "why", why)}
}

// suitable returns a *Never for an entry that can never be sent.
func suitable(info beneath.Info) error {
	switch mode := info.Mode; {
	case mode.IsRegular() && info.Size > MaxSize:
		return &Never{tooLarge()}
	case mode.IsRegular():
	case mode.IsDir():
	case mode&fs.ModeSymlink != 0:
		return &Never{reason.New("is-link")}
	default:
		return &Never{reason.New("is-no-file")}
	}
	if !utf8.ValidString(info.Name) {
		return &Never{reason.New("name-not-utf8")}
	}
	return nil
}

// Observe identifies the entry at a path of the tray: a file, or a folder with all its entries.
func (h *Handles) Observe(rel string) (Source, error) {
	d, name, err := h.At(rel)
	if err != nil {
		return Source{}, err
	}
	info, err := d.Lstat(name)
	if err != nil {
		return Source{}, err
	}
	if !info.IsDir() {
		return SourceOf(info), nil
	}
	sum, err := summarize(d, name)
	return sum.Source, err
}

// Same reports whether two observations are of one unchanged source.
func Same(a, b Source) bool {
	return a.Size == b.Size && a.Entries == b.Entries && a.File == b.File &&
		clamped(a.ModTime) == clamped(b.ModTime)
}

// OpenSource opens a claimed file for sealing if it is unchanged since its claim.
func OpenSource(d *beneath.Dir, name string, want Source) (*os.File, error) {
	f, info, err := d.Open(name)
	if err != nil {
		return nil, err
	}
	if !Same(SourceOf(info), want) {
		return nil, errors.Join(fmt.Errorf("%s: %w", f.Name(), ErrChanged), f.Close())
	}
	return f, nil
}

// ErrChanged is the error of a file that has changed since it was found.
var ErrChanged = reason.Err("changed-since-taken")
