package tray

import (
	"errors"
	"io"
	"io/fs"

	"sealpost/internal/beneath"
	"sealpost/internal/reason"
)

// ErrStrange says that an entry of sending/ is not as claims leave one.
var ErrStrange = reason.Err("strange-sending")

// ReadOwn reads a note of ours. In a folder in which others can write, one that belongs to another
// account is none.
func (h *Handles) ReadOwn(rel string, limit int64) ([]byte, error) {
	d, name, err := h.At(rel)
	if err != nil {
		return nil, err
	}
	f, info, err := d.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	folder, err := d.Info()
	if err != nil {
		return nil, err
	}
	if folder.IsShared() && !info.IsOurs() {
		return nil, ErrStrange
	}
	return io.ReadAll(io.LimitReader(f, limit))
}

// WriteNote writes a small file of ours. Another account's entry of that name makes room.
func (h *Handles) WriteNote(rel string, text []byte) error {
	return h.With(rel, func(d *beneath.Dir, name string) error {
		f, err := d.Create(name, 0o644)
		if errors.Is(err, fs.ErrExist) {
			return d.Replace(name, text, 0o644)
		}
		if err != nil {
			return err
		}
		_, err = f.Write(text)
		return errors.Join(err, f.Close())
	})
}
