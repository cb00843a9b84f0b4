//go:build linux

package e2e

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// The centre is killed while it places a file, and starts before its inbox's disk is mounted. It
// does not take the missing file for one that a user has taken. It says so, and goes on when the
// disk is there.
func TestTheInboxsDiskIsAwayAtTheStart(t *testing.T) {
	t.Parallel()
	w, lab, centre := labAndCentre(t)
	centre.Stop()
	disk := filepath.Join(w.dir, "disk")
	must(t, os.Rename(centre.at("inbox"), disk))
	must(t, os.Mkdir(centre.at("inbox"), 0o755))
	mount := func() error { return unix.Mount(disk, centre.at("inbox"), "", unix.MS_BIND, "") }
	if err := mount(); err != nil {
		t.Skipf("SKIPPED: mounting needs root: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(centre.at("inbox"), unix.MNT_DETACH) })
	lab.Drop("being placed.csv", smallFile)
	centre.daemon.Start("SEALPOST_FAULT=inbox-placing")
	centre.diesAt("inbox-placing")
	must(t, unix.Unmount(centre.at("inbox"), unix.MNT_DETACH))
	centre.Start()
	eventually(t, "the centre says that its inbox is away", func() bool {
		return centre.Says("is not the folder in which sealpost has placed files before")
	})
	must(t, mount())
	w.Audit()
}

// The folder of a sender is a disk of its own. The centre is killed at each step of a placement
// there, and each file is in its place once.
func TestASenderHasADiskOfItsOwn(t *testing.T) {
	t.Parallel()
	w, lab, centre := labAndCentre(t)
	dir := filepath.Join(centre.at("inbox"), "FL-LAB")
	must(t, os.MkdirAll(dir, 0o750))
	if err := unix.Mount(t.TempDir(), dir, "", unix.MS_BIND, ""); err != nil {
		t.Skipf("SKIPPED: mounting needs root: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	for _, point := range []string{"inbox-opened", "inbox-synced", "inbox-placing", "inbox-moved",
		"inbox-renamed", "inbox-placed"} {
		centre.Stop()
		lab.Drop(point+".csv", smallFile)
		centre.daemon.Start("SEALPOST_FAULT=" + point)
		centre.diesAt(point)
		centre.Start()
	}
	w.Audit()
}

// diskThatCannotRename mounts a real file system that lacks RENAME_NOREPLACE, and returns a folder
// on it. NFS and many of FUSE lack it. The file system has hard links.
func diskThatCannotRename(t *testing.T) string {
	t.Helper()
	image, mounted := filepath.Join(t.TempDir(), "image"), t.TempDir()
	must(t, os.WriteFile(image, nil, 0o600))
	must(t, os.Truncate(image, 64<<30)) // sparse
	for _, command := range [][]string{{"mkfs.ntfs", "-q", "-Q", "-F", image},
		{"ntfs-3g", "-o", "permissions,streams_interface=none", image, mounted}} {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			t.Skipf("SKIPPED: no disk of ntfs-3g can be had here: %s: %v %s", command[0], err, out)
		}
	}
	t.Cleanup(func() {
		if err := unix.Unmount(mounted, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	old, new, dir := filepath.Join(mounted, "old"), filepath.Join(mounted, "new"),
		filepath.Join(mounted, "world")
	must(t, os.WriteFile(old, nil, 0o600))
	if err := unix.Renameat2(unix.AT_FDCWD, old, unix.AT_FDCWD, new,
		unix.RENAME_NOREPLACE); !errors.Is(err, unix.EINVAL) {
		t.Skipf("SKIPPED: ntfs-3g can rename without replacing: %v", err)
	}
	must(t, os.Mkdir(dir, 0o755))
	return dir
}
