package doctor

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sealpost/config"
	"sealpost/internal/oddfs"
)

// The cause of a disk's trouble is the remedy of its finding.
func TestTheTroubleOfAFolderIsNamed(t *testing.T) {
	for errno, says := range map[unix.Errno]string{
		unix.EROFS: "mount it for writing", unix.EACCES: "give it the right",
		unix.ENOSPC: "make room there", unix.EMFILE: "too many files are open",
		unix.EIO: "repair or replace it",
	} {
		disk := oddfs.Mount(t, oddfs.Habits{})
		o := lab(t)
		o.Config.Inbox.Dir = filepath.Join(disk.Dir, "inbox")
		must(t, os.Mkdir(o.Config.Inbox.Dir, 0o700))
		disk.Fail(oddfs.Create, "", errno)
		expect(t, examine(t, o), "folder inbox", Fail, says)
	}
}

func TestATrayWithoutASafeRenameIsFound(t *testing.T) {
	disk := oddfs.Mount(t, oddfs.Habits{NoLinks: true, NoFlags: true})
	o := lab(t)
	o.Config.Outbox.Dir = disk.Dir
	for _, name := range []string{"outbox", "sending", "delivered", "failed"} {
		must(t, os.Mkdir(filepath.Join(disk.Dir, name), 0o700))
	}
	expect(t, examine(t, o), "tray", Fail, "no rename that never replaces")
}

// The doctor tries the inbox's disk as the agent uses it. All files arrive, and something of them
// is lost.
func TestTheAbilitiesOfTheInboxsDisk(t *testing.T) {
	for says, habits := range map[string]oddfs.Habits{
		"no times can be set":           {NoTimes: true},
		"no permissions can be set":     {NoModes: true},
		"no rename that never replaces": {NoLinks: true, NoFlags: true},
		"beyond A to Z":                 {ASCII: true},
		"longer than 143 bytes":         {NameMax: 143},
	} {
		o := lab(t)
		o.Config.Inbox.Dir = oddfs.Mount(t, habits).Dir
		expect(t, examine(t, o), "inbox", Warn, says)
	}
}

func TestATrayOnAShareIsNamed(t *testing.T) {
	disk := oddfs.Mount(t, oddfs.Habits{})
	o := lab(t)
	o.Config.Outbox.Dir = disk.Dir
	for _, name := range []string{"outbox", "sending", "delivered", "failed"} {
		must(t, os.Mkdir(filepath.Join(disk.Dir, name), 0o700))
	}
	o.Config.Outbox.ShareSettle = config.Duration(30 * time.Second)
	expect(t, examine(t, o), "tray", OK, "one share (fuse.oddfs)")
	expect(t, examine(t, o), "tray", OK, "at least 30 s")
	o.Config.Outbox.Disk = config.DiskLocal
	expect(t, examine(t, o), "tray", OK, "one volume")
}

// Files are copied from an outbox that is a disk of its own, but not from a share.
func TestAnOutboxOnADiskOfItsOwnIsNamed(t *testing.T) {
	o := lab(t)
	at := filepath.Join(o.Config.Outbox.Dir, "outbox")
	if err := unix.Mount(t.TempDir(), at, "", unix.MS_BIND, ""); err != nil {
		t.Skipf("SKIPPED: mounting needs root: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(at, unix.MNT_DETACH) })
	expect(t, examine(t, o), "tray", OK, "each file is copied from there")
	o.Config.Outbox.Disk = config.DiskShared
	expect(t, examine(t, o), "tray", Fail, "put the whole tray on the share")
	must(t, unix.Unmount(at, unix.MNT_DETACH))
	at = filepath.Join(at, "@CA-RC")
	must(t, os.Mkdir(at, 0o700))
	must(t, unix.Mount(t.TempDir(), at, "", unix.MS_BIND, ""))
	t.Cleanup(func() { unix.Unmount(at, unix.MNT_DETACH) })
	expect(t, examine(t, o), "tray", Fail, "@CA-RC is on a share of its own")
	o.Config.Outbox.Disk = config.DiskLocal
	expect(t, examine(t, o), "tray", OK, "@CA-RC is a disk or mount of its own")
}
