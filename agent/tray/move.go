package tray

import (
	"errors"
	"fmt"
	"io/fs"
	"path"

	"sealpost/internal/reason"
)

// MoveFolder renames a folder, but no entry that another account has put in its place. An entry
// that is swapped in between the look and the rename is moved back.
func (h *Handles) MoveFolder(from, to string) error {
	if err := h.isReplaced(from); err != nil {
		return err
	}
	if err := h.Rename(from, to); err != nil {
		return err
	}
	if err := h.isReplaced(to); err != nil {
		return errors.Join(err, h.Rename(to, from))
	}
	return nil
}

// isReplaced returns an error if another account has put another entry in the place of a folder.
func (h *Handles) isReplaced(folder string) error {
	if info, err := h.Lstat(folder); err == nil && !info.IsDir() {
		return fmt.Errorf("%s: %w", folder, errReplaced)
	}
	return nil
}

var errReplaced = reason.Err("replaced-meanwhile")

// MoveInto moves a file into a folder, which it makes. If the move fails, it removes a new folder.
func (h *Handles) MoveInto(file, folder string) error {
	made := h.Mkdir(folder)
	if made != nil && !errors.Is(made, fs.ErrExist) {
		return made
	}
	err := h.Rename(file, folder+"/"+path.Base(file))
	if err != nil && made == nil {
		h.RemoveDir(folder) //nolint:errcheck // an empty folder stays
	}
	return err
}

// OneFile reports whether two names are those of one file. On a disk without a rename in one step,
// a file has both names until the rename ends.
func (h *Handles) OneFile(a, b string) bool {
	one, err := h.Lstat(a)
	if err != nil {
		return false
	}
	other, err := h.Lstat(b)
	return err == nil && one.ID == other.ID
}
