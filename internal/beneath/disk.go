package beneath

import "sync/atomic"

// Class is how much the system of this machine knows of the changes of a disk.
type Class int32

// A disk that is not known as local counts as shared: nothing is concluded from it.
const (
	// Shared disks are changed by other machines or programs, such as a server or a FUSE program.
	Shared Class = iota
	// Local disks are changed through the system of this machine only.
	Local
)

// Disk describes the disk of a folder. The zero Disk is that of a folder that does not answer.
type Disk struct {
	Type     string // of the mount as the system calls it, such as ext4, nfs or fuse.sshfs
	Class    Class
	NoInodes bool // it has a limited number of files and folders, and none is left
}

// Writer is an answer about the programs that have a file open for writing.
type Writer int

// The answers of Dir.Writer.
const (
	Unknown Writer = iota // the system cannot tell
	NoWriter
	HasWriter
)

// keptClass is the class of an open folder's disk, once it is known.
type keptClass struct{ known atomic.Int32 } // the class and 1; 0: unknown

func (k *keptClass) keep(c Class) { k.known.Store(int32(c) + 1) }

// Class returns the class of the folder's disk. It asks the system once.
func (d *Dir) Class() Class {
	if known := d.class.known.Load(); known > 0 {
		return Class(known - 1)
	}
	disk, err := d.disk()
	if err != nil {
		return Shared
	}
	d.class.keep(disk.Class)
	return disk.Class
}

// Assume makes the folder count as one on a disk of this class, whatever the system says. Folders
// of DirSameMount below it count as well.
func (d *Dir) Assume(c Class) { d.class.keep(c) }

// Disk describes the folder's disk as it is now.
func (d *Dir) Disk() Disk {
	disk, err := d.disk()
	if err != nil {
		return Disk{}
	}
	return disk
}

// Room is the room of a file system.
type Room struct {
	Free, Size       int64 // bytes that this process can write; all
	FreeFiles, Files int64 // inodes; Files is 0 if their number has no limit
}

// Writer reports whether a program has a file open for writing. On a shared disk it returns Unknown
// even if the system answers: it knows only the programs of this machine, and some shares always
// refuse. With Unknown, only the right to read the file is certain. A writer is disturbed only if
// it opens the file at that moment without waiting.
func (d *Dir) Writer(name string) (writer Writer, err error) {
	err = d.in("probe", name, func(d *Dir, base string) (err error) {
		writer, err = d.writer(base)
		return err
	})
	return writer, err
}
