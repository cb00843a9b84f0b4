package outbox

import (
	"errors"
	"io/fs"
	"time"
	"unicode/utf8"

	"sealpost/agent/ledger"
	"sealpost/envelope"
	"sealpost/internal/beneath"
	"sealpost/internal/words"
)

// doneSuffix ends the name of an empty file that says that the folder beside it is finished.
const doneSuffix = ".done"

// walk visits everything in a folder, in no order, each folder before its entries; litter is passed over. rel is the path below
// the folder, "" for itself, and d the folder in which it lies. What cannot be sent is a *never that tells which entry it is.
func walk(d *beneath.Dir, name string, visit visitor) error {
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
	if len(rel) > envelope.MaxPath { // also the depth of what is visited is bounded so
		return &never{words.CannotBeSent(rel[:80]+"…", words.PathTooLong)}
	}
	d, err := above.DirSameMount(info.Name)
	if err != nil {
		return err
	}
	defer d.Close()
	err = d.Each(func(entries []fs.DirEntry) error {
		for _, e := range entries {
			if err := walkEntry(d, e.Name(), under(rel, e.Name()), visit); err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, fs.ErrPermission) {
		return &never{words.MayNotReadFolder(rel)}
	}
	return err
}

func walkEntry(d *beneath.Dir, name, rel string, visit visitor) error {
	if natureOf(name) == litter {
		return nil
	}
	if !utf8.ValidString(name) {
		return &never{words.NameInsideNotUTF8(rel)}
	}
	info, err := d.Lstat(name)
	if err != nil {
		return err
	}
	var no *never
	if err := suitable(info); errors.As(err, &no) {
		return &never{words.CannotBeSent(rel, no.why)}
	}
	if info.IsDir() {
		return walkDir(d, info, rel, visit)
	}
	return visit(d, rel, info)
}

// treeSum is what a folder comes to.
type treeSum struct {
	source  ledger.Source
	changed time.Time // when anything in it last changed
}

func summarize(d *beneath.Dir, name string) (sum treeSum, err error) {
	err = walk(d, name, func(_ *beneath.Dir, rel string, info beneath.Info) error {
		sum.add(rel, info)
		return nil
	})
	return sum, err
}

func (t *treeSum) add(rel string, info beneath.Info) {
	source := sourceOf(info)
	if rel == "" {
		t.source.File = source.File
	}
	if !info.IsDir() {
		t.source.Size += source.Size
	}
	t.source.Entries++
	t.source.ModTime = max(t.source.ModTime, source.ModTime)
	if info.Changed.After(t.changed) {
		t.changed = info.Changed
	}
}

// finishedTree returns a folder if nothing in it has changed for the settle time and nothing in it is being written.
func (h *handles) finishedTree(d *beneath.Dir, name string, settle time.Duration, now time.Time) (ledger.Source, error) {
	sum, err := summarize(d, name)
	if err != nil {
		return sum.source, err
	}
	if age := now.Sub(sum.changed); age < settle && age > -time.Minute {
		return sum.source, &later{after: settle - age}
	}
	err = walk(d, name, func(d *beneath.Dir, rel string, info beneath.Info) error {
		if info.ID == h.t.o.state {
			return &never{words.StateInTray}
		}
		if why := waitsInside(rel, sum.changed, now); why != "" {
			return &later{after: time.Second, why: why}
		}
		if info.IsDir() {
			return nil
		}
		var no *never
		err := h.finishedFile(d, info, 0, now)
		switch {
		case !errors.As(err, &no):
			return err
		case no.why == words.MayNotRead:
			return &never{words.MayNotReadFile(rel)}
		}
		return &never{words.CannotBeSent(rel, no.why)}
	})
	return sum.source, err
}
