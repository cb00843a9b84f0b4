//go:build unix

package beneath

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"sealpost/internal/durable"
)

// Dir is an open folder.
type Dir struct {
	fd     int
	path   string
	class  keptClass
	closed atomic.Bool
}

// maxLinks bounds the links on the way to a folder, like the kernel's limit.
const maxLinks = 40

// Open opens a folder by its path. It follows links of root and of this account, which an admin may
// have made. It returns ErrLink for a link that another account has made or could have moved.
func Open(path string) (*Dir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	fd, err := openDir(unix.AT_FDCWD, "/")
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: "/", Err: err}
	}
	failed := func(err error) (*Dir, error) {
		unix.Close(fd) //nolint:errcheck // nothing was written
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	links := 0
	for rest := path; rest != ""; {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		if name == "" || name == "." {
			continue
		}
		next, err := openDir(fd, name)
		if err == nil {
			unix.Close(fd) //nolint:errcheck // nothing was written
			fd = next
			continue
		}
		target, linked := followable(fd, name)
		if linked != nil {
			return failed(errors.Join(linked, err))
		}
		if target == "" {
			return failed(err)
		}
		if links++; links > maxLinks {
			return failed(unix.ELOOP)
		}
		if rest = target + "/" + rest; filepath.IsAbs(target) {
			next, err := openDir(unix.AT_FDCWD, "/")
			if err != nil {
				return failed(err)
			}
			unix.Close(fd) //nolint:errcheck // nothing was written
			fd = next
		}
	}
	return &Dir{fd: fd, path: path}, nil
}

// followable returns the target of a link of root or this account, or "" if there is no link. No
// other account could have moved the link to its folder.
func followable(fd int, name string) (target string, err error) {
	var st unix.Stat_t
	if unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil ||
		uint32(st.Mode)&unix.S_IFMT != unix.S_IFLNK {
		return "", nil
	}
	if st.Uid != 0 && st.Uid != uint32(unix.Geteuid()) {
		return "", ErrLink
	}
	var dir unix.Stat_t
	if err := unix.Fstat(fd, &dir); err != nil {
		return "", err
	}
	folder := infoOf("", &dir)
	isOfOthers := dir.Uid != 0 && !folder.IsOurs()
	// another account may have moved it here
	if isOfOthers || folder.IsShared() && folder.Mode&fs.ModeSticky == 0 {
		return "", ErrLink
	}
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, name, buf)
	if err != nil || n == 0 {
		return "", errors.Join(ErrLink, err)
	}
	return string(buf[:n]), nil
}

// openDir opens a folder, and follows no link.
func openDir(dir int, name string) (fd int, err error) {
	err = retry(func() (err error) {
		fd, err = unix.Openat(dir, name, openFolder|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC,
			0)
		return err
	})
	return fd, err
}

// retry repeats a call that a signal has interrupted.
func retry(do func() error) error {
	for {
		if err := do(); err != unix.EINTR {
			return err
		}
	}
}

// Close closes the folder. It may be called more than once.
func (d *Dir) Close() {
	if !d.closed.Swap(true) {
		unix.Close(d.fd) //nolint:errcheck // nothing was written
	}
}

// Info describes the folder itself.
func (d *Dir) Info() (Info, error) {
	var st unix.Stat_t
	if err := unix.Fstat(d.fd, &st); err != nil {
		return Info{}, d.failed("stat", "", err)
	}
	return infoOf(filepath.Base(d.path), &st), nil
}

// InfoOf describes an open file, whatever has its name now.
func InfoOf(f *os.File) (Info, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return Info{}, err
	}
	var st unix.Stat_t
	failed := raw.Control(func(fd uintptr) { err = unix.Fstat(int(fd), &st) })
	if err = errors.Join(failed, err); err != nil {
		return Info{}, &fs.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	return infoOf(filepath.Base(f.Name()), &st), nil
}

func infoOf(name string, st *unix.Stat_t) Info {
	return Info{
		Name: name, Size: st.Size, Mode: modeOf(uint32(st.Mode)),
		ModTime: time.Unix(st.Mtim.Unix()), Changed: time.Unix(st.Ctim.Unix()),
		//nolint:unconvert // their sizes differ between systems
		Links: uint64(st.Nlink), Owner: st.Uid, Group: st.Gid, ID: ID{uint64(st.Dev), st.Ino},
	}
}

// IsOurs reports whether it belongs to the account of this process.
func (i Info) IsOurs() bool { return i.Owner == uint32(unix.Geteuid()) }

// IsShared reports whether accounts other than root and this process's may change the folder's
// entries. A group with the account's name is its private one, unless the folder is setgid, as
// shared folders are.
func (i Info) IsShared() bool {
	switch {
	case i.Mode&0o002 != 0, !i.IsOurs() && i.Owner != 0:
		return true
	case i.Mode&0o020 == 0:
		return false
	}
	return i.Mode&fs.ModeSetgid != 0 || i.Group != privateGroup()
}

// privateGroup returns the group with the name of this process's account; the largest number if
// there is none.
var privateGroup = sync.OnceValue(func() uint32 {
	account, err := user.Current()
	if err != nil {
		return math.MaxUint32
	}
	group, err := user.LookupGroup(account.Username)
	if err != nil {
		return math.MaxUint32
	}
	number, err := strconv.ParseUint(group.Gid, 10, 32)
	if err != nil {
		return math.MaxUint32
	}
	return uint32(number)
})

func modeOf(mode uint32) fs.FileMode {
	m := fs.FileMode(mode & 0o777)
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFDIR:
		m |= fs.ModeDir
	case unix.S_IFLNK:
		m |= fs.ModeSymlink
	case unix.S_IFIFO:
		m |= fs.ModeNamedPipe
	case unix.S_IFSOCK:
		m |= fs.ModeSocket
	default:
		m |= fs.ModeDevice
	}
	if mode&unix.S_ISUID != 0 {
		m |= fs.ModeSetuid
	}
	if mode&unix.S_ISGID != 0 {
		m |= fs.ModeSetgid
	}
	if mode&unix.S_ISVTX != 0 {
		m |= fs.ModeSticky
	}
	return m
}

func (d *Dir) sub(name string) (*Dir, error) {
	fd, err := openDir(d.fd, name)
	if err != nil {
		if info, looked := d.lstat(name); looked == nil && info.Mode&fs.ModeSymlink != 0 {
			err = ErrLink
		}
		return nil, d.failed("open", name, err)
	}
	return &Dir{fd: fd, path: d.at(name)}, nil
}

func (d *Dir) lstat(name string) (Info, error) {
	var st unix.Stat_t
	err := retry(func() error { return unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) })
	if err != nil {
		return Info{}, d.failed("lstat", name, err)
	}
	return infoOf(name, &st), nil
}

func (d *Dir) open(name string) (*os.File, Info, error) {
	return d.openFile(name, unix.O_RDONLY)
}

func (d *Dir) append(name string) (*os.File, error) {
	f, _, err := d.openFile(name, unix.O_WRONLY|unix.O_APPEND)
	return f, err
}

// openAny opens an existing entry, and follows no link. With O_NONBLOCK it never waits at a pipe
// that replaced a file.
func (d *Dir) openAny(name string, flags int) (fd int, err error) {
	err = retry(func() (err error) {
		fd, err = unix.Openat(d.fd, name,
			flags|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
		return err
	})
	if errors.Is(err, unix.ELOOP) {
		err = ErrLink
	}
	return fd, d.failed("open", name, err)
}

// openFile opens an existing regular file.
func (d *Dir) openFile(name string, flags int) (*os.File, Info, error) {
	fd, err := d.openAny(name, flags)
	if err != nil {
		return nil, Info{}, err
	}
	var st unix.Stat_t
	err = unix.Fstat(fd, &st)
	info := infoOf(name, &st)
	if err == nil && !info.IsRegular() {
		err = ErrNotRegular
	}
	if err != nil {
		unix.Close(fd) //nolint:errcheck // nothing was written
		return nil, Info{}, d.failed("open", name, err)
	}
	return os.NewFile(uintptr(fd), d.at(name)), info, nil
}

func (d *Dir) create(name string, perm fs.FileMode) (*os.File, error) {
	var fd int
	err := retry(func() (err error) {
		fd, err = unix.Openat(d.fd, name,
			unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC,
			uint32(perm.Perm()))
		return err
	})
	if err != nil {
		return nil, d.failed("create", name, err)
	}
	return os.NewFile(uintptr(fd), d.at(name)), nil
}

func (d *Dir) mkdir(name string, perm fs.FileMode) error {
	return d.failed("mkdir", name, retry(func() error {
		return unix.Mkdirat(d.fd, name, uint32(perm.Perm()))
	}))
}

func (d *Dir) removeDir(name string) error {
	return d.failed("remove", name, retry(func() error {
		return unix.Unlinkat(d.fd, name, unix.AT_REMOVEDIR)
	}))
}

func (d *Dir) remove(name string) error {
	err := retry(func() error { return unix.Unlinkat(d.fd, name, 0) })
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return d.failed("remove", name, err)
	}
	folder := retry(func() error { return unix.Unlinkat(d.fd, name, unix.AT_REMOVEDIR) })
	if folder == nil {
		return nil
	}
	if !errors.Is(folder, unix.ENOTDIR) {
		err = folder
	}
	return d.failed("remove", name, err)
}

func rename(from *Dir, name string, to *Dir, newName string) error {
	return retry(func() error { return unix.Renameat(from.fd, name, to.fd, newName) })
}

func renameNoReplace(from *Dir, name string, to *Dir, newName string) error {
	return durable.RenameEntry(durable.Entry{Dir: from.fd, Name: name},
		durable.Entry{Dir: to.fd, Name: newName})
}

func renameByLook(from *Dir, name string, to *Dir, newName string) error {
	return durable.RenameByLook(durable.Entry{Dir: from.fd, Name: name},
		durable.Entry{Dir: to.fd, Name: newName})
}

// isRefused reports whether the system refuses a value.
func isRefused(err error) bool {
	return errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ERANGE)
}

// reader opens the folder for listing or syncing.
func (d *Dir) reader() (*os.File, error) {
	var fd int
	err := retry(func() (err error) {
		fd, err = unix.Openat(d.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, d.failed("open", "", err)
	}
	return os.NewFile(uintptr(fd), d.path), nil
}

func (d *Dir) chtimes(name string, t time.Time) error {
	ts, err := unix.TimeToTimespec(t)
	if err == nil {
		err = unix.UtimesNanoAt(d.fd, name, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW)
	}
	return d.failed("set the time of", name, err)
}

// Sync makes the entries of the folder durable.
func (d *Dir) Sync() error {
	f, err := d.reader()
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (d *Dir) syncFile(name string) error {
	f, _, err := d.open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func chmod(f *os.File, perm fs.FileMode) error { return f.Chmod(perm) }

// Chmod sets the permissions of the folder itself, whatever the umask.
func (d *Dir) Chmod(perm fs.FileMode) error {
	f, err := d.reader()
	if err != nil {
		return err
	}
	return errors.Join(d.failed("chmod", "", chmod(f, perm)), f.Close())
}
