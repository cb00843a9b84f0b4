package beneath

import (
	"golang.org/x/sys/unix"

	"sealpost/internal/durable"
)

const openFolder = unix.O_RDONLY

func (d *Dir) syncFS() error { return durable.ErrUnsupported }

// Free returns the number of bytes that this process can still write to the folder's file system.
func (d *Dir) Free() (int64, error) { return durable.Free(d.path) }

// Room returns the room of the folder's file system. It has no limited number of files.
func (d *Dir) Room() (Room, error) {
	free, err := durable.Free(d.path)
	if err != nil {
		return Room{}, err
	}
	size, err := durable.Capacity(d.path)
	return Room{Free: free, Size: size}, err
}

// writer only checks that the file is readable: this system reports no writers.
func (d *Dir) writer(name string) (Writer, error) {
	fd, err := d.openAny(name, unix.O_RDONLY)
	if err != nil {
		return Unknown, err
	}
	return Unknown, unix.Close(fd)
}

// disk describes the folder's disk.
func (d *Dir) disk() (disk Disk, err error) {
	var s unix.Statfs_t
	if err := retry(func() error { return unix.Fstatfs(d.fd, &s) }); err != nil {
		return disk, d.failed("describe the disk of", "", err)
	}
	disk.Type = unix.ByteSliceToString(s.Fstypename[:])
	disk.NoInodes = s.Files > 0 && s.Ffree == 0
	if s.Flags&unix.MNT_LOCAL != 0 {
		disk.Class = Local
	}
	return disk, nil
}

func (d *Dir) isSameMount(other *Dir) (bool, error) { return d.isSameVolume(other) }

// ProtectsLinks reports false: any account can give a second name to a file of another account.
func ProtectsLinks() bool { return false }
