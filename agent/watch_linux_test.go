package agent_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// labThatSweeps is a lab and a centre; the lab looks through its outbox this often.
func labThatSweeps(t *testing.T, every string, more ...string) (lab, centre *site) {
	t.Helper()
	_, lab, centre = labAndCentre(t)
	lab.stop()
	lab.set("sweep", fmt.Sprintf("%q", every))
	for i := 0; i < len(more); i += 2 {
		lab.set(more[i], more[i+1])
	}
	lab.start()
	return lab, centre
}

func (s *site) outbox(name ...string) string {
	return filepath.Join(append([]string{s.dir, "outbox"}, name...)...)
}

// says waits until users see this text about an entry of the tray.
func (s *site) says(entry, text string) {
	s.w.t.Helper()
	eventually(s.w.t, fmt.Sprintf("of %s it is said: %s", entry, text),
		func() bool { return strings.Contains(s.status().Outbox.NotTaken[entry].String(), text) })
}

// saysNothing waits until users see no text about the tray's entries any more.
func (s *site) saysNothing() {
	s.w.t.Helper()
	eventually(s.w.t, "nothing is wrong any more",
		func() bool { return len(s.status().Outbox.NotTaken) == 0 })
}

// The system also tells of the outbox itself: that it has other rights, or another name. It is
// nothing to be sent.
func TestTheOutboxItselfIsNotSent(t *testing.T) {
	t.Parallel()
	lab, centre := labThatSweeps(t, "1h")
	lab.drop("first", []byte("first"))
	centre.expect("FL-LAB", "first", []byte("first"))
	for range 3 {
		must(t, os.Chmod(lab.outbox(), 0o750))
		must(t, os.Chmod(lab.outbox(), 0o755))
		must(t, os.Chtimes(lab.outbox(), time.Now(), time.Now()))
	}
	lab.drop("second", []byte("second"))
	centre.expect("FL-LAB", "second", []byte("second"))
	s := lab.status().Outbox
	if len(s.Latest) != 2 || len(s.NotTaken) > 0 {
		t.Errorf("messages: %+v; not taken: %v", s.Latest, s.NotTaken)
	}
}

func TestTheOutboxIsRenamedAndRemoved(t *testing.T) {
	t.Parallel()
	lab, centre := labThatSweeps(t, "500ms")
	const missing = "no such file or directory): make it again"
	must(t, os.Rename(lab.outbox(), lab.outbox()+".old"))
	lab.says("outbox", missing)
	must(t, os.WriteFile(filepath.Join(lab.outbox()+".old", "elsewhere"), []byte("elsewhere"),
		0o644))
	must(t, os.Mkdir(lab.outbox(), 0o755))
	lab.saysNothing()
	lab.drop("into the new one", []byte("new"))
	centre.expect("FL-LAB", "into the new one", []byte("new"))
	must(t, os.RemoveAll(lab.outbox()))
	lab.says("outbox", missing)
	must(t, os.Rename(lab.outbox()+".old", lab.outbox()))
	centre.expect("FL-LAB", "elsewhere", []byte("elsewhere"))
	lab.saysNothing()
}

// A change of the outbox is noticed at once, and so are later files in it. Neither waits for the
// next sweep.
func TestAWatchThatWasLostIsHadAgain(t *testing.T) {
	t.Parallel()
	lab, centre := labThatSweeps(t, "24h")
	lab.drop("before", []byte("before"))
	centre.expect("FL-LAB", "before", []byte("before"))
	for round := range 20 {
		must(t, os.Rename(lab.outbox(), lab.outbox()+".old")) // the watch goes with the name
		must(t, os.Rename(lab.outbox()+".old", lab.outbox()))
		name := fmt.Sprintf("after %d", round)
		lab.drop(name, []byte(name))
		centre.expect("FL-LAB", name, []byte(name))
	}
}

// The outbox is away at any instant of a listing, and files are written during their claim. Nothing
// waits for the next sweep.
func TestTheOutboxIsAwayAgainAndAgain(t *testing.T) {
	t.Parallel()
	lab, centre := labThatSweeps(t, "24h")
	for round := range 60 {
		for range 5 + round%7 {
			must(t, os.Rename(lab.outbox(), lab.outbox()+".old"))
			must(t, os.Rename(lab.outbox()+".old", lab.outbox()))
		}
		name := fmt.Sprintf("after %d", round)
		lab.drop(name, []byte(name))
		centre.expect("FL-LAB", name, []byte(name))
	}
}

// More files are there than can be noted, and the system keeps reporting another one. The files
// that were passed over are found all the same.
func TestWhatCouldNotBeNotedIsNotPutOff(t *testing.T) {
	t.Parallel()
	lab, centre := labThatSweeps(t, "24h", "folder_settle", `"10h"`)
	for i := range 5000 {
		must(t, os.Mkdir(lab.outbox(fmt.Sprintf("unfinished %d", i)), 0o755))
	}
	ctx, cancel := context.WithCancel(t.Context())
	var busy errgroup.Group
	busy.Go(func() error {
		for ctx.Err() == nil {
			if err := os.WriteFile(lab.outbox("somebody's.tmp"), []byte("x"), 0o644); err != nil {
				return err
			}
			time.Sleep(20 * time.Millisecond)
		}
		return nil
	})
	for i := range 3 {
		name := fmt.Sprintf("finished %d", i)
		lab.drop(name, []byte(name))
		centre.expect("FL-LAB", name, []byte(name))
	}
	cancel()
	must(t, busy.Wait())
}

// takes waits until a file lies in sending, durably.
func (s *site) takes(name string) {
	s.w.t.Helper()
	eventually(s.w.t, name+" is taken", func() bool {
		latest := s.status().Outbox.Latest
		return len(latest) > 0 && latest[0].Name == name && latest[0].State == "taken"
	})
}

// disk is a folder that is mounted where a tray is, and can be taken away.
type disk struct {
	t           *testing.T
	folder, at  string
	mountedOnce bool
}

func (d *disk) mount() {
	d.t.Helper()
	if err := unix.Mount(d.folder, d.at, "", unix.MS_BIND, ""); err != nil && !d.mountedOnce {
		d.t.Skipf("SKIPPED: mounting needs root: %v", err)
	} else {
		must(d.t, err)
	}
	if !d.mountedOnce {
		//nolint:errcheck // it may be away just now
		d.t.Cleanup(func() { unix.Unmount(d.at, unix.MNT_DETACH) })
	}
	d.mountedOnce = true
}

func (d *disk) unmount() {
	d.t.Helper()
	must(d.t, unix.Unmount(d.at, unix.MNT_DETACH))
}

// labOnADisk returns a lab whose tray has a disk of its own. Its hub does not run, so files stay in
// sending.
func labOnADisk(t *testing.T) (*world, *site, *site, *disk) {
	t.Helper()
	w, lab, centre := labAndCentre(t)
	lab.stop()
	lab.set("dir", `"tray"`)
	d := &disk{t: t, folder: filepath.Join(w.dir, "disk"), at: filepath.Join(lab.dir, "tray")}
	must(t, os.Mkdir(d.folder, 0o755))
	must(t, os.Mkdir(d.at, 0o755))
	d.mount()
	return w, lab, centre, d
}

func (d *disk) drop(name string) {
	d.t.Helper()
	must(d.t, os.WriteFile(filepath.Join(d.folder, "outbox", name), []byte(name), 0o644))
}

func (d *disk) has(folder string, n int) {
	d.t.Helper()
	eventually(d.t, fmt.Sprintf("%d in %s", n, folder), func() bool {
		have, err := filepath.Glob(filepath.Join(d.folder, folder, "*", "*"))
		return err == nil && len(have) == n
	})
}

// The disk of a tray is unmounted while files are under way. They are not taken for withdrawn, and
// go on when it is back.
func TestTheTraysDiskIsAwayForAWhile(t *testing.T) {
	t.Parallel()
	w, lab, centre, d := labOnADisk(t)
	w.stopHub()
	lab.start()
	d.drop("under way")
	lab.takes("under way")
	d.unmount()
	lab.says("sending", "1 message is under way: connect the disk")
	w.startHub()
	eventually(t, "it cannot be sealed", func() bool {
		return strings.Contains(lab.sent("under way").Reason.String(), "it cannot be read now")
	})
	d.mount()
	centre.expect("FL-LAB", "under way", []byte("under way"))
	d.has("delivered", 1)
	lab.saysNothing()
	d.drop("afterwards")
	centre.expect("FL-LAB", "afterwards", []byte("afterwards"))
	d.has("delivered", 2)
}

// The same, and the agent starts without the disk; or there are empty folders where it was.
func TestTheTraysDiskIsAwayAtTheStart(t *testing.T) {
	t.Parallel()
	w, lab, centre, d := labOnADisk(t)
	w.stopHub()
	lab.start()
	d.drop("under way")
	lab.takes("under way")
	lab.stop()
	d.unmount()
	lab.start()
	lab.says("sending", "1 message is under way: connect the disk")
	if _, err := os.Stat(filepath.Join(d.at, "sending")); err == nil {
		t.Error("an empty folder was made where the disk belongs")
	}
	w.startHub()
	d.mount()
	centre.expect("FL-LAB", "under way", []byte("under way"))
	d.has("delivered", 1)
	lab.saysNothing()
}

// foldersBeneath makes the tray's folders where its disk is mounted, as a start makes them before
// that ever was.
func (d *disk) foldersBeneath() {
	d.t.Helper()
	d.unmount()
	for _, name := range []string{"outbox", "sending", "delivered", "failed"} {
		must(d.t, os.Mkdir(filepath.Join(d.at, name), 0o755))
	}
	d.mount()
}

// The agent starts without the disk, and finds empty folders that are older than the files under
// way.
func TestOldFoldersAtTheStart(t *testing.T) {
	t.Parallel()
	w, lab, centre, d := labOnADisk(t)
	d.foldersBeneath()
	made := time.Now()
	w.stopHub()
	lab.start()
	eventually(t, "file systems can tell before from after",
		func() bool { return time.Since(made) > 4*time.Second })
	d.drop("under way")
	lab.takes("under way")
	lab.stop()
	d.unmount()
	lab.start()
	lab.says("sending", "1 message is under way: connect the disk")
	w.startHub()
	d.mount()
	centre.expect("FL-LAB", "under way", []byte("under way"))
	d.has("delivered", 1)
	lab.saysNothing()
}

// Another folder lies in the place of the tray's disk.
func TestAnotherFolderForTheTray(t *testing.T) {
	t.Parallel()
	w, lab, centre, d := labOnADisk(t)
	d.foldersBeneath()
	w.stopHub()
	lab.start()
	d.drop("under way")
	lab.takes("under way")
	d.unmount()
	lab.says("sending", "1 message is under way: connect the disk")
	w.startHub()
	// as a disk that gets another number: nothing is the file that it was
	copied := d.folder + " copied"
	must(t, os.CopyFS(copied, os.DirFS(d.folder)))
	d.folder = copied
	d.mount()
	centre.expect("FL-LAB", "under way", []byte("under way"))
	d.has("delivered", 1)
	lab.saysNothing()
}

// A file is final while the disk is away: it is moved to its place when the disk is back.
func TestADeliveryWithoutTheTraysDisk(t *testing.T) {
	t.Parallel()
	_, lab, centre, d := labOnADisk(t)
	centre.stop()
	lab.start()
	d.drop("published")
	eventually(t, "the hub has it", func() bool {
		s := lab.status().Outbox.Latest
		return len(s) == 1 && s[0].State == "published"
	})
	d.unmount()
	centre.start()
	eventually(t, "it is delivered", func() bool {
		return lab.sent("published").State == "delivered"
	})
	lab.says("sending", "1 message is under way: connect the disk")
	d.mount()
	lab.saysNothing()
	d.drop("another") // which has the first one moved too
	d.has("delivered", 2)
}
