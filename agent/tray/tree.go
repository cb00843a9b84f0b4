package tray

import (
	"errors"
	"io/fs"
	"path"
	"time"
	"unicode/utf8"

	"sealpost/internal/beneath"
	"sealpost/internal/reason"
)

// MaxPath is the length in bytes of the longest path in a folder.
const MaxPath = 4096

// DoneSuffix ends the name of an empty file that says that the folder beside it is finished.
const DoneSuffix = ".done"

// hasMarker reports whether a folder is marked as finished, by an empty file of its own owner beside
// it. Any other file is data, even with the name of a marker.
func hasMarker(d *beneath.Dir, folder beneath.Info) bool {
	info, err := d.Lstat(folder.Name + DoneSuffix)
	return err == nil && info.IsRegular() && info.Size == 0 && info.Owner == folder.Owner
}

// HasMarker reports whether a folder is marked as finished.
func (h *Handles) HasMarker(rel string) bool {
	d, name, err := h.At(rel)
	if err != nil {
		return false
	}
	folder, err := d.Lstat(name)
	return err == nil && folder.IsDir() && hasMarker(d, folder)
}

// RemoveMarker removes the marker of a folder that was moved.
func (h *Handles) RemoveMarker(from, to string) error {
	folder, err := h.Lstat(to)
	if err != nil {
		return err
	}
	d, name, err := h.At(from)
	if folder.Name = name; err != nil || !hasMarker(d, folder) {
		return err
	}
	return d.Remove(name + DoneSuffix)
}

// Walk visits everything in a folder, in no order, each folder before its entries, and passes over
// litter. rel is the path below the folder, "" for itself, and d the folder above. An entry that
// cannot be sent is a *Never that names it.
func Walk(d *beneath.Dir, name string, visit visitor) error {
	info, err := d.Lstat(name)
	if err != nil {
		return err
	}
	return walkDir(d, info, "", visit)
}

type visitor func(d *beneath.Dir, rel string, info beneath.Info) error

func walkDir(above *beneath.Dir, info beneath.Info, rel string, visit visitor) error {
	if err := visit(above, rel, info); err != nil {
		return err
	}
	if len(rel) > MaxPath { // this bounds the depth, too
		return cannotBeSent(rel[:80]+"…", reason.New("path-too-long"))
	}
	d, err := above.DirSameMount(info.Name)
	if err != nil {
		return err
	}
	defer d.Close()
	err = d.Each(func(entries []fs.DirEntry) error {
		for _, e := range entries {
			if err := walkEntry(d, e.Name(), Under(rel, e.Name()), visit); err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, fs.ErrPermission) {
		if rel == "" || rel == "." {
			return &Never{reason.New(reason.MayNotRead)}
		}
		return &Never{reason.New("may-not-read-folder", "name", rel)}
	}
	return err
}

func walkEntry(d *beneath.Dir, name, rel string, visit visitor) error {
	if NatureOf(name) == Litter {
		return nil
	}
	if !utf8.ValidString(name) {
		return &Never{reason.New("name-inside-not-utf8", "name", rel)}
	}
	info, err := d.Lstat(name)
	if err != nil {
		return err
	}
	var no *Never
	if err := suitable(info); errors.As(err, &no) {
		return cannotBeSent(rel, no.Why)
	}
	if info.IsDir() {
		return walkDir(d, info, rel, visit)
	}
	return visit(d, rel, info)
}

// Sum is the source of a folder, as Walk adds it up.
type Sum struct {
	Source  Source
	Changed time.Time // when anything in it last changed
}

func summarize(d *beneath.Dir, name string) (sum Sum, err error) {
	err = Walk(d, name, func(_ *beneath.Dir, rel string, info beneath.Info) error {
		sum.Add(rel, info)
		return nil
	})
	return sum, err
}

// Add adds an entry that Walk has visited. All sizes above MaxSize are one, so that none overflows.
func (t *Sum) Add(rel string, info beneath.Info) {
	source := SourceOf(info)
	if rel == "" {
		t.Source.File = source.File
	}
	if !info.IsDir() {
		t.Source.Size = min(t.Source.Size+min(source.Size, MaxSize), MaxSize+1)
	}
	t.Source.Entries++
	t.Source.ModTime = max(t.Source.ModTime, source.ModTime)
	if info.Changed.After(t.Changed) {
		t.Changed = info.Changed
	}
}

// fits returns an error if a folder is larger than any envelope.
func (t *Sum) fits() error {
	if t.Source.Size > MaxSize {
		return &Never{tooLarge()}
	}
	return nil
}

// finishedTree returns a folder if nothing in it has changed for the settle time and nothing in it
// is being written.
func (h *Handles) finishedTree(d *beneath.Dir, rel string, settle time.Duration,
	now time.Time) (Source, error) {
	name := path.Base(rel)
	sum, err := summarize(d, name)
	if err == nil {
		err = sum.fits()
	}
	if err != nil {
		return sum.Source, err
	}
	if d.Class() == beneath.Shared {
		settle = max(settle, shareSettle)
		rested, err := h.t.looks.rested(rel, sum.Source, settle, now,
			func() (uint64, error) { return treeEnds(d, name) })
		if err != nil {
			return sum.Source, err
		}
		now = sum.Changed.Add(rested) // by the server's clock
	}
	if age := now.Sub(sum.Changed); age < settle && age > -time.Minute {
		return sum.Source, &Later{After: settle - age}
	}
	err = Walk(d, name, func(d *beneath.Dir, rel string, info beneath.Info) error {
		if info.ID == h.t.StateID {
			return &Never{reason.Of(ErrState)}
		}
		if why := waitsInside(rel, sum.Changed, now); !why.IsZero() {
			return &Later{After: time.Second, Why: why}
		}
		if info.IsDir() {
			return nil
		}
		var no *Never
		err := h.finishedFile(d, info, 0, now)
		switch {
		case !errors.As(err, &no):
			return err
		case no.Why.Code == reason.MayNotRead:
			return &Never{reason.New("may-not-read-file", "name", rel)}
		}
		return cannotBeSent(rel, no.Why)
	})
	return sum.Source, err
}
