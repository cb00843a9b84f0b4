package outbox

import (
	"path"
	"time"

	"sealpost/agent/tray"
	"sealpost/internal/beneath"
	"sealpost/internal/reason"
)

// In a tray with OnlyMarked only marked entries are taken. In others a marker ends the wait for a
// folder.

const (
	// maxUnmarked bounds the names of entries that wait for a marker. Others are only counted.
	maxUnmarked = 4096
	// markerLate is the age of an entry without a marker from which on it is named to users.
	markerLate = time.Hour
)

// Unmarked counts the entries of outbox/ that wait for their markers.
type Unmarked struct {
	Count  int64  `json:"count,omitempty"`
	Name   string `json:"name,omitempty"`   // of one of them, by its path in outbox/
	Marker string `json:"marker,omitempty"` // the name of the marker that it needs
}

// unmarked has the entries of outbox/ that wait for their markers, from the last looks.
type unmarked struct {
	names map[string]bool
	more  int64 // beyond maxUnmarked, as the last sweep counted them
	first string
}

func (u *unmarked) add(rel string) {
	if len(u.names) >= maxUnmarked && !u.names[rel] {
		u.more++
		return
	}
	if u.names == nil {
		u.names = map[string]bool{}
	}
	u.names[rel] = true
	if u.first == "" {
		u.first = rel
	}
}

func (u *unmarked) forget(rel string) {
	delete(u.names, rel)
	if u.first != rel {
		return
	}
	u.first = ""
	for u.first = range u.names {
		break
	}
}

// waiting counts them, and names one.
func (u *unmarked) waiting() Unmarked {
	return Unmarked{Count: int64(len(u.names)) + u.more, Name: u.first}
}

// needed adds the name of the marker to the entry that is named.
func (t Tray) needed(u Unmarked) Unmarked {
	if u.Name != "" {
		u.Marker = t.NeededMarker().Of(path.Base(u.Name))
	}
	return u
}

// examineMarker reports whether an entry of outbox/ is a marker. It looks at the marked one soon,
// and returns the reason why a marker stays.
func (f *finder) examineMarker(h *handles, rel string) (isMarker bool, why reason.Reason) {
	marked := f.t.files.Marked(rel)
	if marked == nil {
		return false, reason.Reason{}
	}
	info, err := h.Lstat(tray.OutboxPart + "/" + rel)
	if err != nil || !info.IsRegular() {
		return false, reason.Reason{}
	}
	if info.Size > 0 {
		if f.t.OnlyMarked && !h.HasMarker(tray.OutboxPart+"/"+rel) {
			return true, reason.New("marker-not-empty")
		}
		return false, reason.Reason{}
	}
	for _, of := range marked {
		if h.HasMarker(tray.OutboxPart + "/" + of) {
			f.schedule(of, 0).costly = false
			return true, reason.Reason{}
		}
		entry, err := h.Lstat(tray.OutboxPart + "/" + of)
		switch {
		case err != nil || !entry.IsDir() && !f.t.OnlyMarked:
		case entry.Owner == info.Owner: // a link, a pipe and the like
			return true, reason.New("marker-of-unsent")
		default:
			return true, reason.New("marker-of-other")
		}
	}
	for _, of := range marked {
		if f.marksDelivered(h, of, info) {
			if err := h.Remove(tray.OutboxPart + "/" + rel); err == nil {
				f.watch.SweepSoon()
				return true, reason.Reason{}
			}
		}
	}
	return true, reason.New("marker-alone")
}

// waitsForMarker reports whether an entry of outbox/ has no marker. It returns a note for users if
// that has been so for long.
func (f *finder) waitsForMarker(h *handles, rel string, now time.Time) (waits bool,
	why reason.Reason) {
	at := tray.OutboxPart + "/" + rel
	info, err := h.Lstat(at)
	if err != nil || !info.IsRegular() && !info.IsDir() || h.HasMarker(at) {
		return false, reason.Reason{}
	}
	f.unmarked.add(rel)
	if now.Sub(info.Changed).Abs() < markerLate {
		return true, reason.Reason{}
	}
	return true, reason.New("waits-for-marker", "marker", f.t.NeededMarker().Of(path.Base(rel)))
}

// markers returns the forms of the markers of a tray.
func (t Tray) markers() (list []tray.Marker) {
	if !t.OnlyMarked {
		return []tray.Marker{tray.FolderMarker}
	}
	for _, m := range t.Markers {
		list = append(list, tray.Marker(m))
	}
	return list
}

// class returns the class of the tray's disk that an admin has set; nil: none.
func (t Tray) class() *beneath.Class {
	class, isSet := map[string]beneath.Class{"local": beneath.Local,
		"shared": beneath.Shared}[t.Disk]
	if !isSet {
		return nil
	}
	return &class
}

// NeededMarker returns the form of the marker for a file or folder that is copied into outbox/.
// Some trays require it; in others it ends the wait for a folder.
func (t Tray) NeededMarker() tray.Marker { return t.markers()[0] }

// unmark removes the markers of a claimed entry before it is moved. A marker that stayed would mark
// the next entry of its name, as it comes.
func (h *handles) unmark(dropped string) error {
	err := h.RemoveMarkers(dropped)
	if err != nil && !h.t.OnlyMarked {
		h.t.said.Warn(h.t.log, "a marker stays in outbox", err)
		return nil
	}
	return err
}
