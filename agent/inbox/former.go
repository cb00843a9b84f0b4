package inbox

import (
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"path/filepath"

	"sealpost/internal/beneath"
	"sealpost/internal/trouble"
)

// If a user removes .sealpost while a message is being placed, only the content can be left, at its
// place. The next delivery of the message compares that with its own content. Equal content counts
// as placed. Otherwise the message is placed from this delivery: a second copy is better than none.

// adoptPlaced removes the content of this attempt if an earlier one has moved equal content to its
// place.
func (f *folders) adoptPlaced(p *placement) error {
	if p.former == "" {
		return nil
	}
	from, err := f.envelope(p.from)
	if err != nil {
		return err
	}
	to, err := f.contentOf(p.Sender)
	if err != nil {
		return err
	}
	name := filepath.Base(p.former)
	switch err := compare(from, p.item, to, name); {
	case err == errDiffers, errors.Is(err, fs.ErrNotExist), trouble.IsNameRefused(err):
		return nil
	case err != nil:
		return err
	}
	// Without its content, the attempt tells after a crash that the message is in place.
	if err := errors.Join(from.RemoveAll(p.item), from.Sync()); err != nil {
		return err
	}
	p.Path, p.isMoved, p.isSynced = p.former, true, true
	return nil
}

// errDiffers means that two entries are not the same.
var errDiffers = errors.New("different content")

// compare returns errDiffers unless two entries have the same names and content.
func compare(a *beneath.Dir, aName string, b *beneath.Dir, bName string) error {
	aInfo, aErr := a.Lstat(aName)
	bInfo, bErr := b.Lstat(bName)
	if err := errors.Join(aErr, bErr); err != nil {
		return err
	}
	switch {
	case aInfo.IsDir() && bInfo.IsDir():
		return compareFolders(a, aName, b, bName)
	case !aInfo.Mode.IsRegular() || !bInfo.Mode.IsRegular() || aInfo.Size != bInfo.Size:
		return errDiffers
	}
	aSum, aErr := sumOf(a, aName)
	bSum, bErr := sumOf(b, bName)
	if err := errors.Join(aErr, bErr); err != nil || aSum == bSum {
		return err
	}
	return errDiffers
}

func compareFolders(a *beneath.Dir, aName string, b *beneath.Dir, bName string) error {
	aDir, err := a.Dir(aName)
	if err != nil {
		return err
	}
	defer aDir.Close()
	bDir, err := b.Dir(bName)
	if err != nil {
		return err
	}
	defer bDir.Close()
	more := 0 // entries of b that are not in a
	err = bDir.Each(func(list []fs.DirEntry) error {
		more += len(list)
		return nil
	})
	if err != nil {
		return err
	}
	err = aDir.Each(func(list []fs.DirEntry) error {
		more -= len(list)
		for _, e := range list {
			if err := compare(aDir, e.Name(), bDir, e.Name()); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && more != 0 {
		err = errDiffers
	}
	return err
}

// sumOf returns the SHA-256 of a file's content.
func sumOf(d *beneath.Dir, name string) (sum [sha256.Size]byte, err error) {
	f, _, err := d.Open(name)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return [sha256.Size]byte(h.Sum(nil)), err
}
