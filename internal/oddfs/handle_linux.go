package oddfs

import (
	"context"
	"os"
	"path/filepath"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// handle is an open file.
type handle struct {
	node   *node
	file   *os.File
	writer int // a descriptor by which this process has the file open for writing; -1: none
}

var _ interface {
	fs.FileReader
	fs.FileWriter
	fs.FileReleaser
} = (*handle)(nil)

// openFlags send every read to the server, and no close waits for it. A process that has a file
// open in its own file system could not end otherwise.
const openFlags = fuse.FOPEN_DIRECT_IO | fuse.FOPEN_NOFLUSH

func (n *node) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	path, errno := n.itself(ctx, Open)
	if errno != 0 {
		return nil, 0, errno
	}
	f, err := os.OpenFile(path, int(flags)&^(unix.O_APPEND|unix.O_CREAT|unix.O_EXCL), 0)
	if err != nil {
		return nil, 0, fs.ToErrno(err)
	}
	h := &handle{node: n, file: f, writer: -1}
	if habits, _ := n.disk.now(); habits.NoLeases && flags&unix.O_ACCMODE == unix.O_RDONLY {
		h.refuseLeases()
	}
	return h, openFlags, 0
}

// refuseLeases opens the file for writing through the mount point. The kernel grants leases without
// asking the file system, but none on such a file.
func (h *handle) refuseLeases() {
	path := filepath.Join(h.node.disk.mount, h.node.Path(h.node.disk.root))
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err == nil {
		h.writer = fd
	}
}

func (n *node) Create(
	ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut,
) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	path, errno := n.entry(ctx, Create, name)
	if errno != 0 {
		return nil, nil, 0, errno
	}
	fd, err := unix.Open(path, int(flags)&^unix.O_APPEND|unix.O_CREAT|unix.O_CLOEXEC, mode)
	inode, errno := n.made(ctx, path, out, err)
	if errno != 0 {
		if err == nil {
			unix.Close(fd) //nolint:errcheck // nothing was written
		}
		return nil, nil, 0, errno
	}
	h := &handle{node: n, file: os.NewFile(uintptr(fd), path), writer: -1}
	return inode, h, openFlags, 0
}

func (h *handle) begin(ctx context.Context, op Op) syscall.Errno {
	return h.node.disk.begin(ctx, op, filepath.Base(h.file.Name()))
}

// Read reads from a file.
func (h *handle) Read(
	ctx context.Context, dest []byte, off int64,
) (fuse.ReadResult, syscall.Errno) {
	if errno := h.begin(ctx, Read); errno != 0 {
		return nil, errno
	}
	n, err := unix.Pread(int(h.file.Fd()), dest, off)
	if err != nil {
		return nil, fs.ToErrno(err)
	}
	return fuse.ReadResultData(dest[:n]), 0
}

// Write writes to a file.
func (h *handle) Write(ctx context.Context, data []byte, off int64) (uint32, syscall.Errno) {
	if errno := h.begin(ctx, Write); errno != 0 {
		return 0, errno
	}
	habits, _ := h.node.disk.now()
	if habits.MaxFile > 0 && off+int64(len(data)) > habits.MaxFile {
		return 0, syscall.EFBIG
	}
	n, err := unix.Pwrite(int(h.file.Fd()), data, off)
	return uint32(max(n, 0)), fs.ToErrno(err)
}

// Release closes a file.
func (h *handle) Release(context.Context) syscall.Errno {
	if h.writer >= 0 {
		go unix.Close(h.writer) //nolint:errcheck // it asks this server again
	}
	return fs.ToErrno(h.file.Close())
}
