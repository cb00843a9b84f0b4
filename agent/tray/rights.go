package tray

import (
	"errors"
	"io/fs"
	"time"

	"sealpost/internal/beneath"
	"sealpost/internal/reason"
)

// Other accounts can bring files into a tray that they cannot read themselves: as a second name
// (hard link), or in the place of a message that is under way. A file that they could not have
// dropped is not sent.

// notState returns an error if a folder is the agent's state folder, which has its keys.
func (t *Tray) notState(d *beneath.Dir) error {
	info, err := d.Info()
	if err == nil && info.ID == t.StateID {
		return ErrState
	}
	return err
}

// mayDrop returns the reason not to take a finished file in a folder of the tray, or nil. A file of
// this account with a second name may be one of its keys, or come from a folder that only this
// account can read. With AnyLinks this holds for files of any account.
func (h *Handles) mayDrop(d *beneath.Dir, info beneath.Info) error {
	if info.Links < 2 || !info.IsRegular() || !info.IsOurs() && !h.t.AnyLinks {
		return nil
	}
	folder, err := d.Info()
	if err == nil && !folder.IsShared() {
		var secret bool
		if secret, err = h.t.holds(info.ID); err == nil && !secret {
			return nil
		}
	}
	switch {
	case err != nil:
		return err
	case !info.IsOurs():
		return &Never{reason.New("any-second-name")}
	}
	return &Never{reason.New("second-name")}
}

// MayDropInside applies mayDrop to an entry in a folder, and adds the path to its error. rel is ""
// for the dropped entry itself.
func (h *Handles) MayDropInside(d *beneath.Dir, rel string, info beneath.Info) error {
	var no *Never
	err := h.mayDrop(d, info)
	if errors.As(err, &no) && rel != "" {
		return cannotBeSent(rel, no.Why)
	}
	return err
}

// holds reports whether a file lies in the state folder.
func (t *Tray) holds(file beneath.ID) (found bool, err error) {
	state, err := beneath.Open(t.State)
	if err != nil {
		return false, err
	}
	defer state.Close()
	return holds(state, file)
}

func holds(d *beneath.Dir, file beneath.ID) (found bool, err error) {
	err = d.Each(func(entries []fs.DirEntry) error {
		for _, e := range entries {
			info, err := d.Lstat(e.Name())
			if err != nil {
				continue // it has just gone
			}
			found = found || info.ID == file
			if !info.IsDir() {
				continue
			}
			sub, err := d.Dir(e.Name())
			if err != nil {
				return err
			}
			inside, err := holds(sub, file)
			sub.Close()
			if found = found || inside; err != nil {
				return err
			}
		}
		return nil
	})
	return found, err
}

// Adoptable returns the source of an entry in sending/ without a claim, if one of its readers put
// it there. If several accounts can write there, a file of this account may come from any place
// that only this account can read.
func (h *Handles) Adoptable(rel string) (source Source, folder bool, err error) {
	d, name, err := h.At(rel)
	if err != nil {
		return source, false, err
	}
	info, err := d.Lstat(name)
	if err == nil {
		err = suitable(info)
	}
	if err == nil {
		err = h.mayAdopt(d, info)
	}
	if err != nil || !info.IsDir() {
		return SourceOf(info), info.IsDir(), err
	}
	var sum Sum
	err = Walk(d, name, func(d *beneath.Dir, rel string, info beneath.Info) error {
		sum.Add(rel, info)
		return h.mayAdopt(d, info)
	})
	if err == nil {
		err = sum.fits()
	}
	return sum.Source, true, err
}

func (h *Handles) mayAdopt(d *beneath.Dir, info beneath.Info) error {
	folder, err := d.Info()
	switch {
	case err != nil:
		return err
	case !folder.IsShared():
		return h.mayDrop(d, info)
	case info.IsOurs() || info.IsRegular() && info.Mode&0o400 == 0:
		return &Never{reason.New("not-dropped")}
	}
	return h.mayDrop(d, info)
}

// Changed returns the source of the entry in the place of a claimed file in sending/, once it is
// finished.
func (h *Handles) Changed(rel string, settle Settling) (Source, error) {
	source, _, err := h.Finished(rel, settle, time.Now())
	if err != nil {
		return source, err
	}
	found, _, err := h.Adoptable(rel)
	if err == nil && !Same(found, source) {
		err = ErrChanged
	}
	return found, err
}
