package tray

import (
	"errors"
	"io"
	"io/fs"

	"sealpost/internal/beneath"
	"sealpost/internal/reason"
)

// ErrStrange is the error of an entry of sending/ that no claim leaves in this form.
var ErrStrange = reason.Err("strange-sending")

// ReadOwn reads a note of sealpost. In a folder that others can write, it must belong to this
// account.
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

// WriteNote writes a note of sealpost. It replaces an entry of another account.
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
