package oddfs

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// node is a file, folder or link.
type node struct {
	fs.Inode
	disk *disk
}

var _ interface {
	fs.NodeLookuper
	fs.NodeGetattrer
	fs.NodeSetattrer
	fs.NodeOpener
	fs.NodeCreater
	fs.NodeReaddirer
	fs.NodeReadlinker
	fs.NodeMkdirer
	fs.NodeMknoder
	fs.NodeSymlinker
	fs.NodeLinker
	fs.NodeRenamer
	fs.NodeUnlinker
	fs.NodeRmdirer
	fs.NodeStatfser
	fs.NodeFsyncer
} = (*node)(nil)

func (n *node) path() string { return n.disk.path(n) }

// entry begins an operation on a name in a folder, and returns its place in the folder behind.
func (n *node) entry(ctx context.Context, op Op, name string) (string, syscall.Errno) {
	if errno := n.disk.begin(ctx, op, name); errno != 0 {
		return "", errno
	}
	habits, _ := n.disk.now()
	dir := n.path()
	base, errno := habits.name(dir, name)
	return filepath.Join(dir, base), errno
}

// itself begins an operation on a file, folder or link, and returns its place.
func (n *node) itself(ctx context.Context, op Op) (string, syscall.Errno) {
	path := n.path()
	return path, n.disk.begin(ctx, op, filepath.Base(n.Path(n.disk.root)))
}

// child returns the node at a place.
func (n *node) child(
	ctx context.Context, path string, out *fuse.EntryOut,
) (*fs.Inode, syscall.Errno) {
	var st syscall.Stat_t
	if err := syscall.Lstat(path, &st); err != nil {
		return nil, fs.ToErrno(err)
	}
	n.disk.show(&st, &out.Attr)
	// A number is used again after its file is gone, and then with another time of birth.
	var birth unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_BTIME, &birth)
	if err != nil {
		return nil, fs.ToErrno(err)
	}
	generation := uint64(birth.Btime.Sec)*1e9 + uint64(birth.Btime.Nsec)
	return n.NewInode(ctx, &node{disk: n.disk},
		fs.StableAttr{Mode: st.Mode, Ino: st.Ino, Gen: max(generation, 1)}), 0
}

// made is child for an entry that was just made. It belongs to the caller, and its group may come
// from the folder.
func (n *node) made(
	ctx context.Context, path string, out *fuse.EntryOut, err error,
) (*fs.Inode, syscall.Errno) {
	if err != nil {
		return nil, fs.ToErrno(err)
	}
	if caller, ok := fuse.FromContext(ctx); ok && os.Geteuid() == 0 {
		group := int(caller.Gid)
		var dir syscall.Stat_t
		if syscall.Lstat(filepath.Dir(path), &dir) == nil && dir.Mode&syscall.S_ISGID != 0 {
			group = -1
		}
		if err := os.Lchown(path, int(caller.Uid), group); err != nil {
			return nil, fs.ToErrno(err)
		}
	}
	return n.child(ctx, path, out)
}

func (n *node) Lookup(
	ctx context.Context, name string, out *fuse.EntryOut,
) (*fs.Inode, syscall.Errno) {
	path, errno := n.entry(ctx, Lookup, name)
	if errno != 0 {
		return nil, errno
	}
	return n.child(ctx, path, out)
}

func (n *node) Getattr(ctx context.Context, f fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	path, errno := n.itself(ctx, Getattr)
	if errno != 0 {
		return errno
	}
	var st syscall.Stat_t
	var err error
	if h, ok := f.(*handle); ok {
		err = syscall.Fstat(int(h.file.Fd()), &st)
	} else {
		err = syscall.Lstat(path, &st)
	}
	if err != nil {
		return fs.ToErrno(err)
	}
	n.disk.show(&st, &out.Attr)
	return 0
}

func (n *node) Setattr(
	ctx context.Context, f fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut,
) syscall.Errno {
	path := n.path()
	habits, _ := n.disk.now()
	if mode, ok := in.GetMode(); ok {
		if _, errno := n.itself(ctx, Chmod); errno != 0 {
			return errno
		}
		if habits.NoModes {
			return syscall.EPERM
		}
		if err := syscall.Chmod(path, mode); err != nil {
			return fs.ToErrno(err)
		}
	}
	uid, hasUID := in.GetUID()
	gid, hasGID := in.GetGID()
	if hasUID || hasGID {
		if _, errno := n.itself(ctx, Chown); errno != 0 {
			return errno
		}
		if err := os.Lchown(path, int(int32(uid)), int(int32(gid))); err != nil { // -1: not changed
			return fs.ToErrno(err)
		}
	}
	if size, ok := in.GetSize(); ok {
		if _, errno := n.itself(ctx, Truncate); errno != 0 {
			return errno
		}
		if habits.MaxFile > 0 && int64(size) > habits.MaxFile {
			return syscall.EFBIG
		}
		if err := os.Truncate(path, int64(size)); err != nil {
			return fs.ToErrno(err)
		}
	}
	if in.Valid&(fuse.FATTR_ATIME|fuse.FATTR_MTIME) != 0 {
		if _, errno := n.itself(ctx, Utimes); errno != 0 {
			return errno
		}
		if habits.NoTimes {
			return syscall.EPERM
		}
		if err := n.setTimes(path, in, habits.Skew); err != nil {
			return fs.ToErrno(err)
		}
	}
	return n.Getattr(ctx, f, out)
}

// setTimes sets the times that a client asks for. They read back as they are, whatever the server's
// clock says.
func (n *node) setTimes(path string, in *fuse.SetAttrIn, skew time.Duration) error {
	times := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Nsec: unix.UTIME_OMIT}}
	for i, set := range []struct {
		get     func() (time.Time, bool)
		present uint32
	}{{in.GetATime, fuse.FATTR_ATIME_NOW}, {in.GetMTime, fuse.FATTR_MTIME_NOW}} {
		t, ok := set.get()
		if !ok {
			continue
		}
		if in.Valid&set.present == 0 {
			t = t.Add(-skew)
		}
		times[i] = unix.Timespec{Sec: t.Unix(), Nsec: int64(t.Nanosecond())}
	}
	return unix.UtimesNanoAt(unix.AT_FDCWD, path, times, unix.AT_SYMLINK_NOFOLLOW)
}

func (n *node) Readdir(ctx context.Context) (fs.DirStream, syscall.Errno) {
	path, errno := n.itself(ctx, Readdir)
	if errno != 0 {
		return nil, errno
	}
	return fs.NewLoopbackDirStream(path)
}

func (n *node) Readlink(ctx context.Context) ([]byte, syscall.Errno) {
	path, errno := n.itself(ctx, Readlink)
	if errno != 0 {
		return nil, errno
	}
	target, err := os.Readlink(path)
	return []byte(target), fs.ToErrno(err)
}

func (n *node) Mkdir(
	ctx context.Context, name string, mode uint32, out *fuse.EntryOut,
) (*fs.Inode, syscall.Errno) {
	path, errno := n.entry(ctx, Mkdir, name)
	if errno != 0 {
		return nil, errno
	}
	return n.made(ctx, path, out, syscall.Mkdir(path, mode))
}

func (n *node) Mknod(
	ctx context.Context, name string, mode, dev uint32, out *fuse.EntryOut,
) (*fs.Inode, syscall.Errno) {
	path, errno := n.entry(ctx, Mknod, name)
	if errno != 0 {
		return nil, errno
	}
	return n.made(ctx, path, out, syscall.Mknod(path, mode, int(dev)))
}

func (n *node) Symlink(
	ctx context.Context, target, name string, out *fuse.EntryOut,
) (*fs.Inode, syscall.Errno) {
	path, errno := n.entry(ctx, Symlink, name)
	if errno != 0 {
		return nil, errno
	}
	return n.made(ctx, path, out, os.Symlink(target, path))
}

func (n *node) Link(
	ctx context.Context, target fs.InodeEmbedder, name string, out *fuse.EntryOut,
) (*fs.Inode, syscall.Errno) {
	path, errno := n.entry(ctx, Link, name)
	if errno != 0 {
		return nil, errno
	}
	if habits, _ := n.disk.now(); habits.NoLinks {
		return nil, syscall.EPERM
	}
	if err := os.Link(target.(*node).path(), path); err != nil {
		return nil, fs.ToErrno(err)
	}
	return n.child(ctx, path, out)
}

func (n *node) Rename(
	ctx context.Context, name string, to fs.InodeEmbedder, newName string, flags uint32,
) syscall.Errno {
	old, errno := n.entry(ctx, Rename, name)
	if errno != 0 {
		return errno
	}
	new, errno := to.(*node).entry(ctx, Rename, newName)
	if errno != 0 {
		return errno
	}
	habits, _ := n.disk.now()
	if flags != 0 && habits.NoFlags {
		return syscall.EINVAL
	}
	return fs.ToErrno(unix.Renameat2(unix.AT_FDCWD, old, unix.AT_FDCWD, new, uint(flags)))
}

func (n *node) Unlink(ctx context.Context, name string) syscall.Errno {
	path, errno := n.entry(ctx, Unlink, name)
	if errno != 0 {
		return errno
	}
	return fs.ToErrno(syscall.Unlink(path))
}

func (n *node) Rmdir(ctx context.Context, name string) syscall.Errno {
	path, errno := n.entry(ctx, Rmdir, name)
	if errno != 0 {
		return errno
	}
	return fs.ToErrno(syscall.Rmdir(path))
}

func (n *node) Statfs(ctx context.Context, out *fuse.StatfsOut) syscall.Errno {
	path, errno := n.itself(ctx, Statfs)
	if errno != 0 {
		return errno
	}
	var s syscall.Statfs_t
	if err := syscall.Statfs(path, &s); err != nil {
		return fs.ToErrno(err)
	}
	out.FromStatfsT(&s)
	if habits, _ := n.disk.now(); habits.NameMax > 0 {
		out.NameLen = uint32(habits.NameMax)
	}
	return 0
}

// Fsync makes a file or folder durable.
func (n *node) Fsync(ctx context.Context, f fs.FileHandle, _ uint32) syscall.Errno {
	path, errno := n.itself(ctx, Fsync)
	if errno != 0 {
		return errno
	}
	if h, ok := f.(*handle); ok {
		return fs.ToErrno(h.file.Sync())
	}
	dir, err := os.Open(path)
	if err != nil {
		return fs.ToErrno(err)
	}
	return fs.ToErrno(errors.Join(dir.Sync(), dir.Close()))
}
