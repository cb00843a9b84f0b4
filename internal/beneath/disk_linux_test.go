package beneath

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sealpost/internal/loopfs"
	"sealpost/internal/oddfs"
)

func TestADiskOfThisMachineIsLocal(t *testing.T) {
	for _, kind := range []loopfs.Kind{loopfs.Btrfs, loopfs.XFS, loopfs.FewInodes, loopfs.VFAT,
		loopfs.ExFAT, loopfs.ExFATFuse, loopfs.NTFS} {
		t.Run(string(kind), func(t *testing.T) {
			d := open(t, loopfs.Mount(t, kind))
			if disk := d.Disk(); d.Class() != Local || disk.Class != Local || disk.Type == "" {
				t.Errorf("%v, %+v", d.Class(), disk)
			}
		})
	}
}

func TestADiskOfAnotherProgramIsShared(t *testing.T) {
	d := open(t, oddfs.Mount(t, oddfs.Habits{}).Dir)
	want := Disk{Type: "fuse.oddfs"}
	if disk := d.Disk(); d.Class() != Shared || disk != want {
		t.Errorf("%v, %+v", d.Class(), disk)
	}
}

func TestAFolderThatDoesNotAnswerIsShared(t *testing.T) {
	disk := oddfs.Mount(t, oddfs.Habits{})
	d := open(t, disk.Dir)
	disk.Fail(oddfs.Statfs, "", unix.EIO)
	if got := d.Disk(); d.Class() != Shared || got != (Disk{}) {
		t.Errorf("%+v", got)
	}
}

// On a shared disk neither a refused nor a granted lease proves anything.
func TestTheWritersOfASharedDiskAreUnknown(t *testing.T) {
	disk := oddfs.Mount(t, oddfs.Habits{})
	d := open(t, disk.Dir)
	file := filepath.Join(disk.Dir, "file")
	write(t, file, "content")
	expectWriter(t, d, Unknown)
	disk.Set(oddfs.Habits{NoLeases: true})
	expectWriter(t, d, Unknown)
	disk.Fail(oddfs.Open, "file", unix.EBUSY) // a sharing violation of SMB
	expectWriter(t, d, HasWriter)
}

func TestTheWritersOfALocalDiskAreKnown(t *testing.T) {
	d, path := held(t)
	if d.Class() == Shared {
		t.Skip("SKIPPED: temporary files lie on a share")
	}
	write(t, filepath.Join(path, "file"), "content")
	expectWriter(t, d, NoWriter)
	w, err := os.OpenFile(filepath.Join(path, "file"), os.O_WRONLY, 0)
	check(t, err)
	defer w.Close()
	expectWriter(t, d, HasWriter)
}

func expectWriter(t *testing.T, d *Dir, want Writer) {
	t.Helper()
	if got, err := d.Writer("file"); got != want || err != nil {
		t.Errorf("writer %v, %v; want %v", got, err, want)
	}
}

func open(t *testing.T, path string) *Dir {
	t.Helper()
	d, err := Open(path)
	check(t, err)
	t.Cleanup(d.Close)
	return d
}

func TestADiskWithoutInodesSaysSo(t *testing.T) {
	path := loopfs.Mount(t, loopfs.FewInodes)
	d := open(t, path)
	if d.Disk().NoInodes {
		t.Error("the disk has none at the start")
	}
	for i := 0; i < loopfs.Inodes; i++ {
		os.Mkdir(filepath.Join(path, string(rune('A'+i))), 0o700) //nolint:errcheck // the last fail
	}
	if !d.Disk().NoInodes {
		t.Error("the disk has more")
	}
}

// Without a safe rename a look takes its place, and a taken name stays.
func TestARenameOnADiskWithoutASafeOne(t *testing.T) {
	disk := oddfs.Mount(t, oddfs.Habits{NoLinks: true, NoFlags: true})
	d := open(t, disk.Dir)
	write(t, filepath.Join(disk.Dir, "a"), "new")
	write(t, filepath.Join(disk.Dir, "b"), "old")
	if err := d.RenameOrLook("a", d, "b"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("onto a taken name: %v", err)
	}
	check(t, d.RenameOrLook("a", d, "c"))
	for name, want := range map[string]string{"b": "old", "c": "new"} {
		if got, err := d.ReadFile(name, 10); string(got) != want || err != nil {
			t.Errorf("%s holds %q, %v", name, got, err)
		}
	}
}

// A file is written on a disk without permissions.
func TestAFileOnADiskWithoutPermissions(t *testing.T) {
	d := open(t, oddfs.Mount(t, oddfs.Habits{NoModes: true}).Dir)
	check(t, d.WriteFile("a", []byte("content"), 0o600))
	info, err := d.Lstat("a")
	if err != nil || info.Mode.Perm()&^0o600 != 0 {
		t.Errorf("%+v, %v", info, err)
	}
}

func TestTheTypeOfAMount(t *testing.T) {
	list := []byte("22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n" +
		"223 22 0:50 / /mnt/a\\040-\\040b rw shared:9 master:2 - nfs4 nas:/lab rw,vers=4.2\n" +
		"224 22 0:51 / /media/x rw - fuseblk /dev/sdb1 rw\n")
	for number, want := range map[uint64]string{22: "ext4", 223: "nfs4", 224: "fuseblk", 2: ""} {
		if got := typeOfMount(list, number); got != want {
			t.Errorf("mount %d is %q, want %q", number, got, want)
		}
	}
}

// Trouble of a disk is not taken for a missing ability.
func TestAProbeOfADiskThatFails(t *testing.T) {
	disk := oddfs.Mount(t, oddfs.Habits{})
	d := open(t, disk.Dir)
	for _, op := range []oddfs.Op{oddfs.Create, oddfs.Chmod, oddfs.Utimes, oddfs.Rename} {
		disk.Fail(op, "", unix.EIO)
		if a, err := d.Probe("try"); !errors.Is(err, unix.EIO) {
			t.Errorf("%s fails: %+v, %v", op, a, err)
		}
		disk.Heal()
		if left, err := os.ReadDir(disk.Back); len(left) > 0 || err != nil {
			t.Errorf("%s fails: left behind: %v, %v", op, left, err)
		}
	}
}

// Another account has put a folder with files in the place of the probe's.
func TestAProbeRemovesItsOwnFilesOnly(t *testing.T) {
	path := t.TempDir()
	d := open(t, path)
	for _, name := range []string{"data.csv", "plain", strings.Repeat("a", longestName)} {
		write(t, filepath.Join(path, name), name)
	}
	p := probe{dir: d}
	_, err := p.run()
	check(t, errors.Join(err, p.clear()))
	left, err := os.ReadDir(path)
	if len(left) != 3 || err != nil {
		t.Errorf("left: %v, %v", left, err)
	}
	write(t, filepath.Join(path, "a"), "a")
	p = probe{dir: d}
	if _, err := p.run(); !errors.Is(err, fs.ErrExist) {
		t.Errorf("with a file of its name: %v", err)
	}
	check(t, p.clear())
	if text, err := d.ReadFile("a", 9); string(text) != "a" || err != nil {
		t.Errorf("that file holds %q, %v", text, err)
	}
}

func TestTheAbilitiesOfDisks(t *testing.T) {
	all := Abilities{Times: true, Modes: true, SafeRename: true, Unicode: true, NameMax: 255}
	for name, c := range map[string]struct {
		habits oddfs.Habits
		lacks  func(a *Abilities)
	}{
		"none":     {oddfs.Habits{}, func(*Abilities) {}},
		"times":    {oddfs.Habits{NoTimes: true}, func(a *Abilities) { a.Times = false }},
		"modes":    {oddfs.Habits{NoModes: true}, func(a *Abilities) { a.Modes = false }},
		"links":    {oddfs.Habits{NoLinks: true}, func(*Abilities) {}},
		"no flags": {oddfs.Habits{NoFlags: true}, func(*Abilities) {}},
		"neither": {oddfs.Habits{NoLinks: true, NoFlags: true},
			func(a *Abilities) { a.SafeRename = false }},
		"ascii": {oddfs.Habits{ASCII: true}, func(a *Abilities) { a.Unicode = false }},
		"short": {oddfs.Habits{NameMax: 143}, func(a *Abilities) { a.NameMax = 143 }},
	} {
		t.Run(name, func(t *testing.T) {
			disk := oddfs.Mount(t, c.habits)
			want := all
			c.lacks(&want)
			got, err := open(t, disk.Dir).Probe("try")
			if got != want || err != nil {
				t.Errorf("%+v, %v; want %+v", got, err, want)
			}
			if left, err := os.ReadDir(disk.Back); len(left) > 0 || err != nil {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}
