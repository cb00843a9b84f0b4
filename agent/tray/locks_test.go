package tray

import (
	"fmt"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
)

// A program that has crashed leaves its lock file for ever.
func TestALockFileIsForgotten(t *testing.T) {
	tray := newTray(t)
	put(t, tray.outbox(), "report.docx")
	put(t, tray.outbox(), "~$report.docx")
	tray.openFiles.note("", "~$report.docx")
	now := time.Now()
	if opened(t, tray).OpenElsewhere("report.docx", now.Add(lockForgotten-time.Minute)).IsZero() {
		t.Error("the lock file counts no more")
	}
	if why := opened(t, tray).OpenElsewhere("report.docx",
		now.Add(lockForgotten+time.Minute)); !why.IsZero() {
		t.Errorf("the lock file counts for ever: %s", why)
	}
}

// Notifications tell of lock files between sweeps. The names of a folder are read ahead when some
// may have been missed.
func TestWhenLockFilesAreReadAhead(t *testing.T) {
	tray := newTray(t)
	l := &tray.openFiles
	sweep := func(told bool) bool {
		losses := l.begin()
		ahead := l.ahead
		l.end(losses, told)
		return ahead
	}
	if !sweep(true) || sweep(true) {
		t.Error("only the first sweep reads ahead")
	}
	tray.Hear("~$report.docx", fsnotify.Create)
	if len(l.candidates("report.docx")) == 0 {
		t.Error("a notification is not heard")
	}
	if tray.Lost(); !sweep(true) || sweep(true) {
		t.Error("the first sweep after a loss reads ahead")
	}
	losses := l.begin()
	tray.Lost() // while it is looked through
	l.end(losses, true)
	if !sweep(false) || !sweep(true) || sweep(true) {
		t.Error("without notifications each sweep reads ahead")
	}
}

func TestLockFilesAreRememberedUpToABound(t *testing.T) {
	var l locks
	for i := range 3 * maxLocks {
		l.note("", fmt.Sprintf(".notes %d.txt.swp", i))
	}
	if len(l.of) > maxLocks {
		t.Errorf("%d are remembered", len(l.of))
	}
}
