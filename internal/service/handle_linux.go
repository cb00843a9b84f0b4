package service

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sealpost/internal/reason"
)

// handle is an open file or folder. Its methods work on that one, even if another one takes its
// name.
type handle struct {
	fd   int // O_PATH: a reference, without reading or writing
	path string
	stat unix.Stat_t
}

// openRoot opens the root of the file system.
func openRoot() (*handle, error) {
	return opened("/", func() (int, error) {
		return unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
}

// open opens an entry of a folder, without following it if it is a link.
func (h *handle) open(name string) (*handle, error) {
	const flags = unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC
	path := filepath.Join(h.path, name)
	// As a folder first: this triggers an automount.
	folder, err := opened(path, func() (int, error) {
		return unix.Openat(h.fd, name, flags|unix.O_DIRECTORY, 0)
	})
	if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return opened(path, func() (int, error) { return unix.Openat(h.fd, name, flags, 0) })
	}
	return folder, err
}

// opened returns a handle of the descriptor that open returns.
func opened(path string, open func() (int, error)) (*handle, error) {
	fd, err := open()
	for errors.Is(err, unix.EINTR) {
		fd, err = open()
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	h := &handle{fd: fd, path: path}
	if err := unix.Fstat(fd, &h.stat); err != nil {
		h.close()
		return nil, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return h, nil
}

func (h *handle) close() { unix.Close(h.fd) } //nolint:errcheck // never written to

// isFolder reports whether it is a folder.
func (h *handle) isFolder() bool { return h.stat.Mode&unix.S_IFMT == unix.S_IFDIR }

// isLink reports whether it is a symbolic link.
func (h *handle) isLink() bool { return h.stat.Mode&unix.S_IFMT == unix.S_IFLNK }

// The kinds of files that programs compare.
var (
	aFile   = reason.New("a-file")
	aDevice = reason.New("a-device")
)

// kind returns the type of the file.
func (h *handle) kind() reason.Reason {
	switch h.stat.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return reason.New("a-folder")
	case unix.S_IFREG:
		return aFile
	case unix.S_IFLNK:
		return reason.New("a-link")
	case unix.S_IFIFO:
		return reason.New("a-pipe")
	case unix.S_IFSOCK:
		return reason.New("a-socket")
	}
	return aDevice
}

// proc returns a path to the open object itself, for system calls without handles.
func (h *handle) proc() string { return "/proc/self/fd/" + strconv.Itoa(h.fd) }

// mount returns the number of its mount.
func (h *handle) mount() (string, error) {
	text, err := os.ReadFile("/proc/self/fdinfo/" + strconv.Itoa(h.fd))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if id, found := strings.CutPrefix(line, "mnt_id:"); found {
			return strings.TrimSpace(id), nil
		}
	}
	return "", &fs.PathError{Op: "find the mount of", Path: h.path, Err: errors.ErrUnsupported}
}

// own gives it to an account and a group, even if it is a link.
func (h *handle) own(uid, gid uint32) error {
	if h.stat.Uid == uid && h.stat.Gid == gid {
		return nil
	}
	if err := unix.Fchownat(h.fd, "", int(uid), int(gid),
		unix.AT_EMPTY_PATH|unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &fs.PathError{Op: "chown", Path: h.path, Err: err}
	}
	return nil
}

// permit sets some bits of the mode of a folder, and clears others.
func (h *handle) permit(set, clear uint32) error {
	var now unix.Stat_t
	err := unix.Fstat(h.fd, &now)
	if err == nil {
		err = unix.Fchmodat(unix.AT_FDCWD, h.proc(), now.Mode&0o7777&^clear|set, 0)
	}
	if err != nil {
		return &fs.PathError{Op: "chmod", Path: h.path, Err: err}
	}
	return nil
}
