package inbox

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sealpost/internal/id"
)

// inboxWithDisk returns an inbox in which the folder of FL-LAB is a disk of its own. Its functions
// mount and unmount that.
func inboxWithDisk(t *testing.T) (b *Inbox, mount, unmount func()) {
	t.Helper()
	b = inboxIn(t, filepath.Join(t.TempDir(), "inbox"))
	dir, disk := filepath.Join(b.cfg.Dir, "FL-LAB"), t.TempDir()
	check(t, os.MkdirAll(dir, 0o750))
	try := func() error { return unix.Mount(disk, dir, "", unix.MS_BIND, "") }
	if err := try(); err != nil {
		t.Skipf("SKIPPED: mounting needs root: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return b, func() { t.Helper(); check(t, try()) },
		func() { t.Helper(); check(t, unix.Unmount(dir, unix.MNT_DETACH)) }
}

// parcelOn is parcel on the disk of the sender's own folder.
func parcelOn(t *testing.T, b *Inbox, f *folders, sender id.Site, names ...string) []*placement {
	t.Helper()
	v, err := b.volumeOf(t.Context(), f, sender)
	check(t, err)
	if v == nil {
		t.Fatal("its folder is no disk of its own")
	}
	main := f.temp
	f.temp = v.temp
	list := parcel(t, f, sender, names...)
	f.temp = main
	for _, d := range f.envelopes {
		d.Close()
	}
	clear(f.envelopes)
	for _, p := range list {
		p.from = string(sender) + "/" + p.from
		p.Temp = joinTemp(p.from, p.item)
	}
	return list
}

// expectPlaced checks that a message is at its place, alone, and that nothing temporary is left.
func expectPlaced(t *testing.T, b *Inbox, name string) {
	t.Helper()
	sender := filepath.Join(b.cfg.Dir, "FL-LAB")
	holds(t, filepath.Join(sender, name), name)
	if found, err := os.ReadDir(sender); err != nil || len(found) != 2 { // and .sealpost
		t.Errorf("the sender's folder holds %v, %v", found, err)
	}
	for _, temp := range []string{b.temp(), filepath.Join(sender, tempDir)} {
		if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
			t.Errorf("%s holds %v, %v", temp, left, err)
		}
	}
	if found, err := filepath.Glob(filepath.Join(b.records("FL-LAB"), "*.json")); err != nil ||
		len(found) != 1 {
		t.Errorf("records: %v, %v", found, err)
	}
}

// A file is placed in a folder that is a disk of its own. A crash at each step leaves a state from
// which the next start goes on.
func TestAFolderThatIsADiskOfItsOwn(t *testing.T) {
	for name, crash := range map[string]func(b *Inbox, f *folders, list []*placement) error{
		"never": func(b *Inbox, f *folders, list []*placement) error {
			return errors.Join(b.placeFiles(t.Context(), f, list), f.removeTemp(list[0].from))
		},
		"after the row": func(b *Inbox, f *folders, list []*placement) error {
			p := list[0]
			return errors.Join(f.chooseName(p, map[string]bool{}, 0), p.makeRecord(),
				f.writeLists(list), f.syncContent(list), b.writeRows(t.Context(), list))
		},
		"after the rename": func(b *Inbox, f *folders, list []*placement) error {
			p := list[0]
			return errors.Join(f.chooseName(p, map[string]bool{}, 0), p.makeRecord(),
				f.writeLists(list), f.syncContent(list), b.writeRows(t.Context(), list),
				b.rename(t.Context(), f, p, map[string]bool{}))
		},
		"before the commit": func(b *Inbox, f *folders, list []*placement) error {
			return b.placeFiles(t.Context(), f, list)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, mount, unmount := inboxWithDisk(t)
			f := entered(t, b)
			list := parcelOn(t, b, f, "FL-LAB", "data.csv")
			check(t, crash(b, f, list))
			f.close()
			// the disk is not mounted at the next start
			unmount()
			b = restart(b, b.cfg.Dir)
			f = entered(t, b)
			check(t, b.recover(t.Context(), f))
			_, err := b.volumeOf(t.Context(), f, "FL-LAB")
			if !errors.As(err, new(unusableError)) ||
				!strings.Contains(err.Error(), "was a disk of its own") {
				t.Errorf("while its disk is away: %v", err)
			}
			f.close()
			mount()
			b = restart(b, b.cfg.Dir)
			check(t, b.recover(t.Context(), entered(t, b)))
			expectPlaced(t, b, "data.csv")
		})
	}
}

// A folder becomes a disk of its own while a message is half placed, and is an ordinary one later.
func TestAFolderBecomesADiskOfItsOwn(t *testing.T) {
	b, mount, unmount := inboxWithDisk(t)
	unmount()
	f := entered(t, b)
	half := parcel(t, f, "FL-LAB", "data.csv")
	p := half[0]
	check(t, errors.Join(f.chooseName(p, map[string]bool{}, 0), p.makeRecord(), f.writeLists(half),
		f.syncContent(half), b.writeRows(t.Context(), half)))
	f.close()
	mount()
	f = entered(t, b)
	d := &delivery{}
	d.Sender = p.Sender
	d.Messages = append(d.Messages, messageOf(p))
	check(t, b.resumePlacing(t.Context(), f, d))
	if rows, err := b.rowsOf(t.Context(), p.Sender, []id.UID{p.UID}); len(rows) > 0 || err != nil {
		t.Errorf("its row is %+v, %v", rows, err)
	}
	list := parcelOn(t, b, f, "FL-LAB", "data.csv")
	check(t, errors.Join(b.placeFiles(t.Context(), f, list), f.removeTemp(list[0].from)))
	expectPlaced(t, b, "data.csv")
	f.close()
	// the admin puts the files on the inbox's disk
	unmount()
	write(t, filepath.Join(b.cfg.Dir, "FL-LAB", "data.csv"), []byte("data.csv"))
	v, err := b.volumeOf(t.Context(), entered(t, b), "FL-LAB")
	if v != nil || err != nil {
		t.Errorf("with files in it: %v, %v", v, err)
	}
	check(t, os.Remove(filepath.Join(b.cfg.Dir, "FL-LAB", "data.csv")))
	if v, err = b.volumeOf(t.Context(), entered(t, b), "FL-LAB"); v != nil || err != nil {
		t.Errorf("later, empty: %v, %v", v, err)
	}
}

// The empty folder of a disk that is gone is removed, and an ordinary one takes its place.
func TestADiskOfASenderIsGoneForGood(t *testing.T) {
	b, _, unmount := inboxWithDisk(t)
	_, err := b.volumeOf(t.Context(), entered(t, b), "FL-LAB")
	check(t, err)
	unmount()
	b = restart(b, b.cfg.Dir)
	if _, err := b.volumeOf(t.Context(), entered(t, b), "FL-LAB"); err == nil {
		t.Error("it is used while its disk is away")
	}
	check(t, os.Remove(filepath.Join(b.cfg.Dir, "FL-LAB")))
	f := entered(t, b)
	check(t, b.placeFiles(t.Context(), f, parcel(t, f, "FL-LAB", "data.csv")))
	check(t, f.failure("FL-LAB", ""))
	holds(t, filepath.Join(b.cfg.Dir, "FL-LAB", "data.csv"), "data.csv")
}
