//go:build linux

package e2e

import (
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sealpost/internal/durable"
)

// disk is a small file system of its own under a folder of a daemon that does not run.
type disk struct {
	t   *testing.T
	dir string
}

// ontoSmallDisk moves a folder and its content onto a disk of this size.
func ontoSmallDisk(t *testing.T, dir, size string) *disk {
	t.Helper()
	old := dir + ".old"
	must(t, os.MkdirAll(dir, 0o700))
	must(t, os.Rename(dir, old))
	must(t, os.Mkdir(dir, 0o700))
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0700,size="+size); err != nil {
		t.Skipf("SKIPPED: a small disk needs root: %v", err)
	}
	t.Cleanup(func() {
		// processes that still use it are killed after this
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	must(t, exec.Command("cp", "-a", old+"/.", dir).Run())
	must(t, os.RemoveAll(old))
	return &disk{t, dir}
}

func (d *disk) free() int64 {
	d.t.Helper()
	n, err := durable.Free(d.dir)
	must(d.t, err)
	return n
}

// Fill leaves so many bytes of the disk, and returns the function that makes room again.
func (d *disk) Fill(leave int64) (empty func()) {
	d.t.Helper()
	f, err := os.CreateTemp(d.dir, "somebody else's *.bin")
	must(d.t, err)
	for have, more := int64(0), d.free()-leave; more > 0; more = d.free() - leave {
		err := unix.Fallocate(int(f.Fd()), 0, have, more)
		if err == nil {
			have += more
		} else if !errors.Is(err, unix.ENOSPC) { // a daemon was quicker: measure the room again
			d.t.Fatal(err)
		}
	}
	must(d.t, f.Close())
	return func() { must(d.t, os.Remove(f.Name())) }
}

// statusFile returns the site's STATUS.txt; empty before an agent has written the first.
func (s *site) statusFile() string {
	s.t.Helper()
	text, err := os.ReadFile(s.at("STATUS.txt"))
	if err != nil && !os.IsNotExist(err) {
		s.t.Fatal(err)
	}
	return string(text)
}

// tells waits until STATUS.txt has the texts, and the status command, which costs a process.
func (s *site) tells(event string, texts ...string) {
	s.t.Helper()
	eventually(s.t, s.name+" tells "+event, func() bool {
		return containsAll(s.statusFile(), texts) && containsAll(s.statusText(), texts)
	}, s.statusFile, s.statusText)
}

func containsAll(text string, parts []string) bool {
	return !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(text, p) })
}

func TestTheHubsDiskIsFull(t *testing.T) {
	t.Parallel()
	w, lab, centre := labAndCentre(t)
	lab.Drop("before.csv", smallFile)
	centre.Expect(lab, "before.csv")
	w.hub.Stop()
	d := ontoSmallDisk(t, w.hub.at("state"), "256m")
	w.hub.Start()
	empty := d.Fill(48 * mib) // between reserve and floor
	lab.dropSome("while it is full")
	lab.tells("that the hub has no room", "fl-lab.dat (4 files)", "the hub's disk is full")
	lab.Kill()
	lab.Start()
	lab.tells("that the hub still has no room", "the hub's disk is full")
	if n := centre.count("inbox"); n != 1 {
		t.Errorf("%d files arrived", n)
	}
	empty()
	w.Audit()
}

func TestTheCentresDiskIsFull(t *testing.T) {
	t.Parallel()
	w, lab, centre := labAndCentre(t)
	lab.Drop("before.csv", smallFile)
	centre.Expect(lab, "before.csv")
	centre.Stop()
	d := ontoSmallDisk(t, centre.at("inbox"), "128m")
	empty := d.Fill(8 * mib) // below the reserve
	centre.Start()
	lab.dropSome("while it is full")
	centre.tells("that there is no room", "NO ROOM",
		"8.0 MiB are free, 16.0 MiB must stay free")
	lab.Drop("while it is full, huge.bin", threeParts)
	empty()
	w.Audit()
}

func TestTheLabsDiskIsFull(t *testing.T) {
	t.Parallel()
	w, lab, centre := labAndCentre(t)
	lab.Drop("before.csv", smallFile)
	centre.Expect(lab, "before.csv")
	lab.Stop()
	d := ontoSmallDisk(t, lab.at("state"), "300m")
	lab.Start()
	empty := d.Fill(8 * mib) // far too little for a sealed copy, which there is none of
	lab.Drop("while it is full, huge.bin", threeParts)
	lab.Drop("while it is full.csv", smallFile)
	centre.Expect(lab, "while it is full.csv")
	centre.Expect(lab, "while it is full, huge.bin")
	empty()
	empty = d.Fill(0) // not even the ledger can go on
	lab.dropSome("to the last byte")
	lab.tells("that its own disk is full", "the disk is full", "goes on by itself")
	empty()
	w.Audit()
}
