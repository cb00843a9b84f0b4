package tray

import (
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"sealpost/internal/beneath"
	"sealpost/internal/reason"
)

const (
	// LockAgain is the time between looks at a file that waits for a lock file.
	LockAgain = 2 * time.Second
	maxLocks  = 1024 // names that may wait in a tray
)

// locks has the lock files that programs keep beside the files that they have open. Only a file
// that may wait for one of them costs a look at the disk.
//
// Sweeps and notifications report lock files. A sweep may meet a file before its lock file. So a
// sweep reads the names of a folder ahead if a notification may be missing: at the start, and after
// some were lost.
type locks struct {
	ahead bool // this sweep reads ahead; belongs to the finder

	mu     sync.Mutex           // guards the fields below
	of     map[waiting][]string // lock files, by the names that wait for them
	losses int                  // of notifications, so far
	// 1 + the losses at the start of the last complete sweep; 0: some lock files may be unknown
	whole int
}

// waiting is a name that waits for a lock file.
type waiting struct {
	dir, name string
	tail      bool // the name lacks its first one or two characters
}

// note records a name in outbox/, or in a folder in it, if it is that of a lock file.
func (l *locks) note(dir, name string) {
	k, stem := KindOf(name)
	if k == nil || k.is != locking {
		return
	}
	of, lock := k.locks(stem), Under(dir, name)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, file := range of.names {
		l.add(waiting{dir: dir, name: file}, lock)
	}
	if of.tail != "" {
		l.add(waiting{dir: dir, name: of.tail, tail: true}, lock)
	}
}

// split returns the folder of an entry in outbox/ and its name. The folder is empty for outbox/
// itself.
func split(rel string) (dir, name string) {
	dir, name = path.Split(rel)
	return strings.TrimSuffix(dir, "/"), name
}

func (l *locks) add(w waiting, lock string) {
	if l.of == nil {
		l.of = map[waiting][]string{}
	}
	if len(l.of) < maxLocks && !slices.Contains(l.of[w], lock) {
		l.of[w] = append(l.of[w], lock)
	}
}

// candidates lists the lock files that a file may wait for.
func (l *locks) candidates(rel string) (list []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.of) == 0 {
		return nil
	}
	dir, name := split(rel)
	list = slices.Clone(l.of[waiting{dir: dir, name: name}])
	for _, tail := range tails(name) {
		list = append(list, l.of[waiting{dir: dir, name: tail, tail: true}]...)
	}
	return list
}

// forget removes a lock file that is gone.
func (l *locks) forget(lock string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for w, list := range l.of {
		list = slices.DeleteFunc(list, func(other string) bool { return other == lock })
		if l.of[w] = list; len(list) == 0 {
			delete(l.of, w)
		}
	}
}

// lost records that notifications were lost.
func (l *locks) lost() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.losses++
}

// begin starts a sweep. Its result is for end.
func (l *locks) begin() (losses int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ahead = l.whole != l.losses+1
	return l.losses
}

// end ends a sweep that has seen every name. isNotified reports whether the system notifies of new
// ones.
func (l *locks) end(losses int, isNotified bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.whole = 0
	if isNotified {
		l.whole = losses + 1
	}
}

// ReadAhead finds the lock files in outbox/, or in a folder in it, if some may be unknown.
func (h *Handles) ReadAhead(rel string, dir *beneath.Dir) {
	if !h.t.openFiles.ahead {
		return
	}
	dir.Each(func(entries []fs.DirEntry) error { //nolint:errcheck // the sweep reports it
		h.t.NoteLocks(rel, entries)
		return nil
	})
}

// NoteLocks records the lock files in a page of a folder before any entry of it is examined.
func (t *Tray) NoteLocks(rel string, entries []fs.DirEntry) {
	for _, e := range entries {
		t.openFiles.note(rel, e.Name())
	}
}

// OpenElsewhere returns the note on a file that waits for a lock file; none: it does not wait.
func (h *Handles) OpenElsewhere(rel string, now time.Time) reason.Reason {
	for _, lock := range h.t.openFiles.candidates(rel) {
		info, isThere := h.glance(lock)
		if !isThere {
			h.t.openFiles.forget(lock)
			continue
		}
		file, isThere := h.glance(rel)
		until := latest(info.Changed, file.Changed).Add(lockForgotten)
		if isThere && now.Before(until) {
			name := path.Base(lock)
			k, _ := KindOf(name)
			return reason.New("open-elsewhere", "lock", name, "program", k.program,
				"until", until)
		}
	}
	return reason.Reason{}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// BeginSweep starts a sweep. Its result is for EndSweep.
func (t *Tray) BeginSweep() (losses int) { return t.openFiles.begin() }

// EndSweep ends a sweep. isNotified reports whether the system notifies of new names.
func (t *Tray) EndSweep(losses int, isNotified bool) { t.openFiles.end(losses, isNotified) }
