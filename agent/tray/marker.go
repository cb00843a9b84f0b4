package tray

import (
	"errors"
	"io/fs"
	"path"
	"strings"

	"sealpost/internal/beneath"
)

// Marker is a form of names, with a * for the name of the marked file or folder. A marker is an
// empty file beside it. Any other file is data, under any name.
type Marker string

// FolderMarker is the form of the markers of folders in trays that require none.
const FolderMarker Marker = "*.done"

// Of returns the name of the marker of a file or folder.
func (m Marker) Of(name string) string { return strings.Replace(string(m), "*", name, 1) }

// marked returns the name of the entry that a marker of this name marks. It returns "" if no marker
// has this name.
func (m Marker) marked(name string) string {
	before, after, _ := strings.Cut(string(m), "*")
	if !strings.HasPrefix(name, before) || !strings.HasSuffix(name[len(before):], after) {
		return ""
	}
	return name[len(before) : len(name)-len(after)]
}

// markers returns the names of the markers of an entry in a folder. Markers belong to the entry's
// owner: otherwise any account could end the wait for the files of others.
func (t *Tray) markers(d *beneath.Dir, of beneath.Info) (names []string) {
	if !of.IsDir() && !(t.OnlyMarked && of.IsRegular()) {
		return nil
	}
	for _, m := range t.Markers {
		name := m.Of(of.Name)
		info, err := d.Lstat(name)
		if err == nil && info.IsRegular() && info.Size == 0 && info.Owner == of.Owner {
			names = append(names, name)
		}
	}
	return names
}

// HasMarker reports whether the entry at a path is marked as finished.
func (h *Handles) HasMarker(rel string) bool {
	d, name, err := h.At(rel)
	if err != nil {
		return false
	}
	info, err := d.Lstat(name)
	return err == nil && len(h.t.markers(d, info)) > 0
}

// Marked returns the paths of the entries that a marker at a path can mark. It returns nil if no
// marker has this name.
func (t *Tray) Marked(rel string) (paths []string) {
	dir, name := split(rel)
	for _, m := range t.Markers {
		if of := m.marked(name); of != "" {
			paths = append(paths, Under(dir, of))
		}
	}
	return paths
}

// RemoveMarkers removes the markers of the entry at a path. It succeeds if nothing lies there.
func (h *Handles) RemoveMarkers(rel string) error {
	d, name, err := h.At(rel)
	if err != nil {
		return err
	}
	info, err := d.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, marker := range h.t.markers(d, info) {
		err := d.Remove(path.Base(marker))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
