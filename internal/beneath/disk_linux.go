package beneath

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// local lists the file systems that only the kernel of this machine changes, by their magic
// numbers (statfs(2)). The name is that of the mount. overlay is as local as the disks of
// containers are.
var local = map[uint32]string{
	unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs",
	unix.TMPFS_MAGIC: "tmpfs", unix.RAMFS_MAGIC: "ramfs", unix.F2FS_SUPER_MAGIC: "f2fs",
	unix.OVERLAYFS_SUPER_MAGIC: "overlay", unix.MSDOS_SUPER_MAGIC: "vfat",
	unix.EXFAT_SUPER_MAGIC: "exfat", unix.NILFS_SUPER_MAGIC: "nilfs2",
	unix.REISERFS_SUPER_MAGIC: "reiserfs",

	0x2fc12fc1: "zfs", 0xca451a4e: "bcachefs", 0x7366746e: "ntfs3", 0x3153464a: "jfs",
}

// disk describes the folder's disk. All FUSE programs share one magic number: those on a device of
// this machine, such as ntfs-3g and exfat-fuse, are mounted as fuseblk.
func (d *Dir) disk() (disk Disk, err error) {
	var s unix.Statfs_t
	if err := retry(func() error { return unix.Fstatfs(d.fd, &s) }); err != nil {
		return disk, d.failed("describe the disk of", "", err)
	}
	disk.NoInodes = s.Files > 0 && s.Ffree == 0
	magic := uint32(s.Type) //nolint:unconvert // its size differs between processors
	if name := local[magic]; name != "" {
		disk.Type, disk.Class = name, Local
		return disk, nil
	}
	disk.Type = d.mountType()
	if magic == unix.FUSE_SUPER_MAGIC && disk.Type == "fuseblk" {
		disk.Class = Local
	}
	return disk, nil
}

// mountType returns the type of the folder's mount, or "" if the system does not tell.
func (d *Dir) mountType() string {
	number, known, err := d.mount()
	if err != nil || !known {
		return ""
	}
	list, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return ""
	}
	return typeOfMount(list, number)
}

// typeOfMount finds a mount in a list of the form of proc_pid_mountinfo(5).
func typeOfMount(list []byte, number uint64) string {
	begin := []byte(strconv.FormatUint(number, 10) + " ")
	for line := range bytes.Lines(list) {
		if !bytes.HasPrefix(line, begin) {
			continue
		}
		_, after, _ := strings.Cut(string(line), " - ")
		name, _, _ := strings.Cut(after, " ")
		return name
	}
	return ""
}

// writer takes a read lease, which the kernel grants only if no program has the file open for
// writing. It returns the lease at once, since it would block writers (fcntl(2), F_SETLEASE). Any
// refusal but EAGAIN leaves the answer unknown, as for files of other owners without CAP_LEASE.
// Servers without delegations or oplocks refuse each lease with EAGAIN, and a granted one says
// nothing of other machines. Only SMB tells of those: EBUSY is its sharing violation.
func (d *Dir) writer(name string) (Writer, error) {
	isShared := d.Class() == Shared
	fd, err := d.openAny(name, unix.O_RDONLY)
	if isShared && errors.Is(err, unix.EBUSY) {
		return HasWriter, nil
	}
	if err != nil {
		return Unknown, err
	}
	defer unix.Close(fd) //nolint:errcheck // nothing was written
	if isShared {
		return Unknown, nil
	}
	_, err = unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_RDLCK)
	switch {
	case err == nil:
		_, err = unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_UNLCK)
		return NoWriter, d.failed("probe", name, err)
	case errors.Is(err, unix.EAGAIN):
		return HasWriter, nil
	}
	return Unknown, nil
}
