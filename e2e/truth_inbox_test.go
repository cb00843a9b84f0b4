//go:build linux

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// The inbox gets another place in the configuration. The status file at its old place does not say
// for ever that sealpost is stopped.
func TestAnInboxIsMovedInTheConfiguration(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	centre := w.Centre("CA-RC", "fl-lab.*")
	lab := w.Lab("FL-LAB", centre)
	centre.Stop()
	old, now := filepath.Join(w.dir, "old"), filepath.Join(w.dir, "new")
	place := func(was, is string) {
		edit(t, centre.config(), fmt.Sprintf("dir = %q", was), fmt.Sprintf("dir = %q", is))
	}
	place("inbox", filepath.Join(old, "inbox"))
	centre.Start()
	lab.Drop("before.csv", smallFile)
	awaits(centre, filepath.Join(old, "inbox", "FL-LAB", "before.csv"))
	eventually(t, "the status is written", func() bool {
		return strings.Contains(statusAt(t, old), "before.csv")
	})
	centre.Stop()
	must(t, os.Mkdir(now, 0o755))
	// with all that is in it
	must(t, os.Rename(filepath.Join(old, "inbox"), filepath.Join(now, "inbox")))
	place(filepath.Join(old, "inbox"), filepath.Join(now, "inbox"))
	centre.Start()
	lab.Drop("after.csv", smallFile)
	awaits(centre, filepath.Join(now, "inbox", "FL-LAB", "after.csv"))
	eventually(t, "the old status is gone, or says where the inbox is", func() bool {
		says := statusAt(t, old)
		return says == "" || strings.Contains(says, filepath.Join(now, "inbox"))
	}, func() string { return statusAt(t, old) })
}

// inboxOnDisk gives a stopped centre an inbox on a disk of its own. The story can unmount and mount
// it again.
func inboxOnDisk(t *testing.T, w *world, centre *site,
	size string) (inbox string, mount, unmount func()) {
	t.Helper()
	device, at := filepath.Join(w.dir, "device"), filepath.Join(w.dir, "disk")
	must(t, os.Mkdir(device, 0o755))
	must(t, os.Mkdir(at, 0o755))
	if err := unix.Mount("tmpfs", device, "tmpfs", 0, "mode=0755,size="+size); err != nil {
		t.Skipf("SKIPPED: a disk needs root: %v", err)
	}
	t.Cleanup(func() {
		unix.Unmount(at, unix.MNT_DETACH) //nolint:errcheck // it is mounted in some stories only
		if err := unix.Unmount(device, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	mount = func() { t.Helper(); must(t, unix.Mount(device, at, "", unix.MS_BIND, "")) }
	unmount = func() { t.Helper(); must(t, unix.Unmount(at, unix.MNT_DETACH)) }
	mount()
	inbox = filepath.Join(at, "inbox")
	edit(t, centre.config(), `dir = "inbox"`, fmt.Sprintf("dir = %q", inbox))
	edit(t, centre.config(), `reserve = "16MiB"`, `reserve = "1MiB"`)
	return inbox, mount, unmount
}

// awaits waits until a file has arrived at a place.
func awaits(s *site, path string) {
	s.t.Helper()
	eventually(s.t, filepath.Base(path)+" arrives",
		func() bool { _, err := os.Lstat(path); return err == nil }, s.statusText)
}

// The inbox's disk is full, so that the status file beside the inbox cannot be written. The one in
// the site's folder says so, and `agent status` does.
func TestTheInboxsOwnDiskIsFull(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	centre := w.Centre("CA-RC", "fl-lab.*")
	lab := w.Lab("FL-LAB", centre)
	centre.Stop()
	inbox, _, _ := inboxOnDisk(t, w, centre, "32m")
	centre.Start()
	lab.Drop("before.csv", smallFile)
	awaits(centre, filepath.Join(inbox, "FL-LAB", "before.csv"))
	empty := (&disk{t, filepath.Dir(inbox)}).Fill(0)
	lab.Drop("while it is full.csv", smallFile)
	centre.statusSays("that there is no room", regexp.QuoteMeta(inbox), "room|full|free")
	centre.saysOf("that there is no room", regexp.QuoteMeta(inbox), "room|full|free")
	empty()
	awaits(centre, filepath.Join(inbox, "FL-LAB", "while it is full.csv"))
}

// inboxGone matches the ways to say that an inbox is not where it was.
const inboxGone = "not there|gone|missing|not mounted|is away|another disk|other " +
	"device|connect the disk"

// The inbox's disk is unmounted while the agent runs. Nothing is received onto the disk below, the
// status in the site's folder and `agent status` say so, and receiving goes on by itself when the
// disk is back.
func TestTheInboxsDiskGoesAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	centre := w.Centre("CA-RC", "fl-lab.*")
	lab := w.Lab("FL-LAB", centre)
	centre.Stop()
	inbox, mount, unmount := inboxOnDisk(t, w, centre, "64m")
	centre.Start()
	lab.Drop("before.csv", smallFile)
	awaits(centre, filepath.Join(inbox, "FL-LAB", "before.csv"))
	unmount()
	lab.Drop("while it is away.csv", smallFile)
	centre.statusSays("that the inbox is gone", regexp.QuoteMeta(inbox), inboxGone)
	centre.saysOf("that the inbox is gone", regexp.QuoteMeta(inbox), inboxGone)
	nothingBelow(t, lab, inbox, "while it is away.csv")
	mount()
	awaits(centre, filepath.Join(inbox, "FL-LAB", "while it is away.csv"))
}

// nothingBelow fails the story if the centre has received or signed anything without the inbox's
// disk.
func nothingBelow(t *testing.T, lab *site, inbox, name string) {
	t.Helper()
	if below, err := os.ReadDir(filepath.Dir(inbox)); err != nil || len(below) > 0 {
		t.Errorf("on the disk below the inbox's lie %v, %v", below, err)
	}
	for _, m := range lab.Status().Outbox.Delivered {
		if m.Name == name {
			t.Errorf("the lab has a receipt for %s", name)
		}
	}
}

// The inbox's disk is not mounted when the agent starts. The agent receives nothing, signs nothing,
// says so, and goes on by itself when the disk is back.
func TestTheInboxsDiskIsNotMountedAtTheStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	centre := w.Centre("CA-RC", "fl-lab.*")
	lab := w.Lab("FL-LAB", centre)
	centre.Stop()
	inbox, mount, unmount := inboxOnDisk(t, w, centre, "64m")
	centre.Start()
	lab.Drop("before.csv", smallFile)
	awaits(centre, filepath.Join(inbox, "FL-LAB", "before.csv"))
	centre.Stop()
	unmount()
	lab.Drop("while it is away.csv", smallFile)
	centre.Start()
	centre.statusSays("that the inbox is gone", regexp.QuoteMeta(inbox), inboxGone)
	centre.saysOf("that the inbox is gone", regexp.QuoteMeta(inbox), inboxGone)
	nothingBelow(t, lab, inbox, "while it is away.csv")
	mount()
	awaits(centre, filepath.Join(inbox, "FL-LAB", "while it is away.csv"))
	if found, err := filepath.Glob(filepath.Join(inbox, "FL-LAB", "*")); err != nil ||
		len(found) != 2 {
		t.Errorf("in the inbox lie %v, %v", found, err)
	}
}

// A user removes the folder of records from the inbox while messages are being placed. Each is
// placed once.
func TestTheInboxsRecordsAreRemovedMeanwhile(t *testing.T) {
	t.Parallel()
	for _, point := range []string{"inbox-placing", "inbox-moved", "inbox-moved:2", "inbox-renamed",
		"inbox-placed"} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			_, lab, centre := labAndCentre(t)
			centre.Stop()
			lab.Drop("small.csv", smallFile)
			lab.Drop("also small.csv", smallFile)
			centre.daemon.Start("SEALPOST_FAULT=" + point)
			centre.diesAt(strings.TrimSuffix(point, ":2"))
			must(t, os.RemoveAll(centre.at("inbox", ".sealpost")))
			centre.Start()
			centre.Expect(lab, "small.csv", "also small.csv")
			eventually(t, "they are delivered", func() bool {
				return len(lab.Status().Outbox.Delivered) == 2
			}, lab.statusText)
			found, err := filepath.Glob(filepath.Join(centre.at("inbox"), "FL-LAB", "*"))
			if err != nil || len(found) != 2 {
				t.Errorf("there are %v, %v", found, err)
			}
		})
	}
}

// A user removes the folder of records from the inbox. It is made again.
func TestTheInboxsRecordsAreRemoved(t *testing.T) {
	t.Parallel()
	_, lab, centre := labAndCentre(t)
	lab.Drop("before.csv", smallFile)
	centre.Expect(lab, "before.csv")
	must(t, os.RemoveAll(centre.at("inbox", ".sealpost")))
	lab.Drop("small.csv", smallFile)
	lab.Drop("large.bin", largeFile)
	centre.Expect(lab, "small.csv", "large.bin")
	eventually(t, "they are delivered", func() bool {
		return len(lab.Status().Outbox.Delivered) == 3
	}, lab.statusText)
}
