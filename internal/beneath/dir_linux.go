package beneath

import (
	"bytes"
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// openFolder needs no right to list the folder.
const openFolder = unix.O_PATH

// syncFS makes all earlier writes to the folder's file system durable. See durable.SyncFS.
func (d *Dir) syncFS() error {
	f, err := d.reader()
	if err != nil {
		return err
	}
	return errors.Join(d.failed("sync the file system of", "", unix.Syncfs(int(f.Fd()))), f.Close())
}

// Free returns the number of bytes that this process can still write to the folder's file system.
func (d *Dir) Free() (int64, error) {
	var s unix.Statfs_t
	if err := unix.Fstatfs(d.fd, &s); err != nil {
		return 0, d.failed("free space of", "", err)
	}
	return int64(s.Bavail) * s.Frsize, nil
}

// Room returns the room of the folder's file system.
func (d *Dir) Room() (Room, error) {
	var s unix.Statfs_t
	if err := unix.Fstatfs(d.fd, &s); err != nil {
		return Room{}, d.failed("free space of", "", err)
	}
	return Room{Free: int64(s.Bavail) * s.Frsize, Size: int64(s.Blocks) * s.Frsize,
		FreeFiles: int64(s.Ffree), Files: int64(s.Files)}, nil
}

// isSameMount compares the numbers of mounts, available since Linux 5.8. A bind mount from the same
// file system has another number.
func (d *Dir) isSameMount(other *Dir) (bool, error) {
	ownMount, known, err := d.mount()
	if err != nil || !known {
		return d.isSameVolume(other)
	}
	its, known, err := other.mount()
	return ownMount == its || !known, err
}

func (d *Dir) mount() (number uint64, known bool, err error) {
	var st unix.Statx_t
	err = unix.Statx(d.fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC, unix.STATX_MNT_ID, &st)
	return st.Mnt_id, st.Mask&unix.STATX_MNT_ID != 0, err
}

// ProtectsLinks reports whether an account can link only to files that it owns, or can read and
// write. See fs.protected_hardlinks in proc_sys_fs(5).
func ProtectsLinks() bool {
	text, err := os.ReadFile("/proc/sys/fs/protected_hardlinks")
	return err == nil && bytes.HasPrefix(text, []byte("1"))
}
