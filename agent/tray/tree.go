package tray

import (
	"errors"
	"io/fs"
	"path"
	"strings"
	"time"
	"unicode/utf8"

	"sealpost/internal/beneath"
	"sealpost/internal/reason"
)

// Limits of a folder: those of an envelope.
const (
	MaxPath    = 4096    // bytes of a path
	MaxDepth   = 256     // components of a path, with the folder's own name
	MaxEntries = 1 << 20 // files and folders, with the folder itself
)

// Walk visits every entry of a folder but litter, in no order, each folder before its entries. rel
// is the path below the folder, "" for itself, and d the folder above. An entry that cannot be sent
// is a *Never that names it.
func Walk(d *beneath.Dir, name string, visit visitor) error {
	info, err := d.Lstat(name)
	if err != nil {
		return err
	}
	w := walk{visit: visit, longest: MaxPath - len(name) - len("/")}
	return w.dir(d, info, "")
}

type visitor func(d *beneath.Dir, rel string, info beneath.Info) error

// walk visits the entries of one folder.
type walk struct {
	visit   visitor
	longest int // bytes of a path below the folder
}

func (w walk) dir(above *beneath.Dir, info beneath.Info, rel string) error {
	if err := w.visit(above, rel, info); err != nil {
		return err
	}
	d, err := above.DirSameMount(info.Name)
	if err != nil {
		return err
	}
	defer d.Close()
	err = d.Each(func(entries []fs.DirEntry) error {
		for _, e := range entries {
			if err := w.entry(d, e.Name(), Under(rel, e.Name())); err != nil {
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

// start returns the first characters of a path for users.
func start(rel string) string { return strings.ToValidUTF8(rel[:min(80, len(rel))], "") + "…" }

func (w walk) entry(d *beneath.Dir, name, rel string) error {
	if NatureOf(name) == Litter {
		return nil
	}
	if len(rel) > w.longest {
		return cannotBeSent(start(rel), reason.New("path-too-long"))
	}
	if strings.Count(rel, "/")+2 > MaxDepth {
		return cannotBeSent(start(rel), reason.New("too-many-levels"))
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
		return w.dir(d, info, rel)
	}
	return w.visit(d, rel, info)
}

// Sum is the source of a folder, summed up by Walk.
type Sum struct {
	Source  Source
	Changed time.Time // the last change in it
}

func summarize(d *beneath.Dir, name string) (sum Sum, err error) {
	err = Walk(d, name, func(_ *beneath.Dir, rel string, info beneath.Info) error {
		sum.Add(rel, info)
		return nil
	})
	return sum, err
}

// Add adds an entry that Walk has visited. The sum of sizes stops at MaxSize + 1, so that it never
// overflows.
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
	if t.Source.Entries > MaxEntries {
		return &Never{reason.New("too-many-entries", "most", MaxEntries)}
	}
	if t.Source.Size > MaxSize {
		return &Never{tooLarge()}
	}
	return nil
}

// finishedTree returns the source of a folder if it is finished. Nothing in it has changed for the
// settle time, and no program is writing in it.
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
		settle = max(settle, h.t.ShareSettle)
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
