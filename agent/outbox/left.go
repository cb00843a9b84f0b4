package outbox

import (
	"path"
	"time"

	"sealpost/internal/beneath"
	"sealpost/internal/words"
)

const (
	// leftFor is how long an unfinished file must have stood still to be reported: its program may have
	// crashed.
	leftFor = time.Minute
	// lockForgotten is how long a lock file and its file must both have stood still for the lock to be an
	// orphan. A draft that is left open over a long weekend is not sent.
	lockForgotten = 7 * 24 * time.Hour
)

// note returns the note on a name of this kind.
func (k *known) note() string {
	switch k.is {
	case unfinished:
		return words.TemporaryName(k.program)
	case locking:
		return words.LockName(k.program)
	case backup:
		return words.BackupName(k.program)
	}
	return words.SystemName(k.program)
}

// leaveAlone returns the note on an entry of outbox/ of this kind; empty: it is not worth one.
func (h *handles) leaveAlone(rel string, k *known, now time.Time) string {
	if k.is == litter || k.is == sidecar {
		return ""
	}
	info, there := h.glance(rel)
	if !there || now.Sub(info.ModTime) < leftFor {
		return ""
	}
	return k.note()
}

// waitsInside returns the note on a folder that waits for an entry in it; empty: it does not. changed is
// when anything in the folder last changed.
func waitsInside(rel string, changed, now time.Time) string {
	k, _ := kindOf(path.Base(rel))
	switch {
	case k == nil:
	case k.is == unfinished:
		return words.UnfinishedInside(rel)
	case k.is == locking && now.Sub(changed) < lockForgotten:
		return words.OpenInside(rel, k.program, changed.Add(lockForgotten))
	}
	return ""
}

// glance looks at an entry of outbox/.
func (h *handles) glance(rel string) (info beneath.Info, there bool) {
	info, err := h.lstat(outboxPart + "/" + rel)
	return info, err == nil
}

// isLeftOver reports whether an entry is left alone for its name, which is no trouble to any user.
func isLeftOver(rel string) bool { return natureOf(path.Base(rel)) != ordinary }

// addNote adds a note while there is room. One on a user's file takes the room of one on a leftover.
func addNote(notes map[string]string, rel, why string) {
	if _, known := notes[rel]; len(notes) >= maxNotes && !known {
		if isLeftOver(rel) {
			return
		}
		for other := range notes {
			if isLeftOver(other) {
				delete(notes, other)
				break
			}
		}
	}
	if _, known := notes[rel]; len(notes) < maxNotes || known {
		notes[rel] = why
	}
}
