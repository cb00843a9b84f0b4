package tray

import (
	"path"
	"time"

	"sealpost/internal/beneath"
	"sealpost/internal/reason"
)

const (
	// leftFor is the time without changes after which an unfinished file is reported: its program
	// may have crashed.
	leftFor = time.Minute
	// lockForgotten is the age of both a lock file and its file at which the lock is an orphan. A
	// draft that stays open over a long weekend is not sent.
	lockForgotten = 7 * 24 * time.Hour
)

// Note returns the note on a name of this kind.
func (k *Known) Note() reason.Reason {
	switch k.is {
	case unfinished:
		return reason.New("temporary-name", "program", k.program)
	case locking:
		return reason.New("lock-name", "program", k.program)
	case backup:
		return reason.New("backup-name", "program", k.program)
	case conflict:
		return reason.New("conflict-name", "program", k.program)
	}
	return reason.New("system-name", "program", k.program)
}

// LeaveAlone returns the note on an entry of outbox/ of this kind; none: users need not know.
func (h *Handles) LeaveAlone(rel string, k *Known, now time.Time) reason.Reason {
	if k.is == Litter || k.is == sidecar {
		return reason.Reason{}
	}
	info, isThere := h.glance(rel)
	if !isThere || now.Sub(info.ModTime) < leftFor {
		return reason.Reason{}
	}
	return k.Note()
}

// waitsInside returns the note on a folder that waits for an entry in it; none: it does not wait.
// changed is the last change in the folder.
func waitsInside(rel string, changed, now time.Time) reason.Reason {
	k, _ := KindOf(path.Base(rel))
	switch {
	case k == nil:
	case k.is == unfinished:
		return reason.New("unfinished-inside", "name", rel)
	case k.is == locking && now.Sub(changed) < lockForgotten:
		return reason.New("open-inside", "lock", rel, "program", k.program,
			"until", changed.Add(lockForgotten))
	}
	return reason.Reason{}
}

// glance returns the state of an entry of outbox/, if it is there.
func (h *Handles) glance(rel string) (info beneath.Info, isThere bool) {
	info, err := h.Lstat(OutboxPart + "/" + rel)
	return info, err == nil
}

// IsLeftOver reports whether an entry is not sent because of its name, and needs no action by a
// user.
func IsLeftOver(rel string) bool { return NatureOf(path.Base(rel)) != Ordinary }
