package outbox

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
	"unicode/utf8"

	"sealpost/agent/ledger"
	"sealpost/internal/words"
)

// doneSuffix ends the name of an empty file that says that the folder beside it is finished.
const doneSuffix = ".done"

// walkPage is how many entries of a folder are held at once: a folder may have any number.
const walkPage = 256

// walk visits what is in a folder, in no order, each folder before what is in it; litter is passed over. rel is relative
// to the folder, empty for itself. What cannot be sent is a *never that says which entry it is.
func walk(root string, visit func(rel string, source ledger.Source, info seen) error) error {
	return walkDir(root, "", visit)
}

func walkDir(root, rel string, visit func(string, ledger.Source, seen) error) error {
	path := filepath.Join(root, rel)
	source, info, err := stat(path)
	if err != nil {
		return err
	}
	if err := visit(rel, source, info); err != nil {
		return err
	}
	dir, err := os.Open(path)
	if errors.Is(err, fs.ErrPermission) {
		return &never{words.MayNotReadFolder(rel)}
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	for {
		entries, err := dir.ReadDir(walkPage)
		for _, e := range entries {
			if err := walkEntry(root, filepath.Join(rel, e.Name()), visit); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func walkEntry(root, rel string, visit func(string, ledger.Source, seen) error) error {
	name := filepath.Base(rel)
	if litter(name) {
		return nil
	}
	if !utf8.ValidString(name) {
		return &never{words.NameInsideNotUTF8(rel)}
	}
	source, info, err := stat(filepath.Join(root, rel))
	if err != nil {
		return err
	}
	var no *never
	if err := suitable(info); errors.As(err, &no) {
		return &never{words.CannotBeSent(rel, no.why)}
	}
	if info.IsDir() {
		return walkDir(root, rel, visit)
	}
	return visit(rel, source, info)
}

// treeSum is what a folder comes to.
type treeSum struct {
	source  ledger.Source
	changed time.Time // when anything in it last changed
}

func summarize(root string) (sum treeSum, err error) {
	err = walk(root, func(rel string, source ledger.Source, info seen) error {
		sum.add(rel, source, info)
		return nil
	})
	return sum, err
}

func (t *treeSum) add(rel string, source ledger.Source, info seen) {
	if rel == "" {
		t.source.File = source.File
	}
	if !info.IsDir() {
		t.source.Size += source.Size
	}
	t.source.Entries++
	t.source.ModTime = max(t.source.ModTime, source.ModTime)
	if info.changed.After(t.changed) {
		t.changed = info.changed
	}
}

// finishedTree tells whether nothing in a folder has changed for the settle time and nothing in it is being written.
func finishedTree(root string, settle time.Duration, now time.Time) (ledger.Source, error) {
	sum, err := summarize(root)
	if err != nil {
		return sum.source, err
	}
	if age := now.Sub(sum.changed); age < settle && age > -time.Minute {
		return sum.source, &later{after: settle - age}
	}
	err = walk(root, func(rel string, _ ledger.Source, info seen) error {
		if info.IsDir() {
			return nil
		}
		if temporary(filepath.Base(rel)) {
			return &later{after: time.Second, why: words.UnfinishedInside(rel)} // some program has not finished with it
		}
		var no *never
		err := finishedFile(filepath.Join(root, rel), info, 0, now)
		if errors.As(err, &no) {
			return &never{words.MayNotReadFile(rel)}
		}
		return err
	})
	return sum.source, err
}
