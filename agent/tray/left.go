package tray

import (
	"path"
	"time"

	"sealpost/internal/beneath"
	"sealpost/internal/words"
)

const (
	// leftFor is how long an unfinished file must have stood still to be reported: its program may
	// have crashed.
	leftFor = time.Minute
	// lockForgotten is how long a lock file and its file must both have stood still for the lock to
	// be an orphan. A draft that is left open over a long weekend is not sent.
	lockForgotten = 7 * 24 * time.Hour
)

// Note returns the note on a name of this kind.
func (k *Known) Note() string {
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

// LeaveAlone returns the note on an entry of outbox/ of this kind; empty: it is not worth one.
func (h *Handles) LeaveAlone(rel string, k *Known, now time.Time) string {
	if k.is == Litter || k.is == sidecar {
		return ""
	}
	info, there := h.glance(rel)
	if !there || now.Sub(info.ModTime) < leftFor {
		return ""
	}
	return k.Note()
}

// waitsInside returns the note on a folder that waits for an entry in it; empty: it does not.
// changed is when anything in the folder last changed.
func waitsInside(rel string, changed, now time.Time) string {
	k, _ := KindOf(path.Base(rel))
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
func (h *Handles) glance(rel string) (info beneath.Info, there bool) {
	info, err := h.Lstat(OutboxPart + "/" + rel)
	return info, err == nil
}

// IsLeftOver reports whether an entry is left alone for its name, which is no trouble to any user.
func IsLeftOver(rel string) bool { return NatureOf(path.Base(rel)) != Ordinary }
