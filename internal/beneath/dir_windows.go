package beneath

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"

	"sealpost/internal/durable"
)

// Dir is an open folder that is not shared for deletion. Meanwhile Windows renames and removes
// neither it nor a folder above it, so that its path stays the same folder.
type Dir struct {
	handle windows.Handle
	path   string
	class  keptClass
	closed atomic.Bool
}

const (
	shareAll  = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE
	shareHeld = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE
)

// Open opens a folder by its path. It follows links on the way and in its place: an admin has
// configured them.
func Open(path string) (*Dir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	return hold(path, 0)
}

func hold(path string, flags uint32) (*Dir, error) {
	h, err := createFile(path, windows.FILE_LIST_DIRECTORY, shareHeld, flags)
	if errors.Is(err, windows.ERROR_ACCESS_DENIED) {
		h, err = createFile(path, windows.FILE_READ_ATTRIBUTES, shareHeld, flags)
	}
	if err == nil {
		var info windows.ByHandleFileInformation
		err = windows.GetFileInformationByHandle(h, &info)
		switch {
		case err != nil:
		case isLink(h, info.FileAttributes):
			err = ErrLink
		case info.FileAttributes&windows.FILE_ATTRIBUTE_DIRECTORY == 0:
			err = windows.ERROR_DIRECTORY
		}
		if err != nil {
			err = errors.Join(err, windows.CloseHandle(h))
		}
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return &Dir{handle: h, path: path}, nil
}

func createFile(path string, access, share, flags uint32) (windows.Handle, error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return 0, err
	}
	return windows.CreateFile(name, access, share, nil, windows.OPEN_EXISTING,
		flags|windows.FILE_FLAG_BACKUP_SEMANTICS, 0)
}

// isLink reports whether an open reparse point leads to another file. Others only store content
// apart: deduplicated, compressed or in a cloud.
func isLink(h windows.Handle, attributes uint32) bool {
	if attributes&windows.FILE_ATTRIBUTE_REPARSE_POINT == 0 {
		return false
	}
	var tag struct{ attributes, tag uint32 } // FILE_ATTRIBUTE_TAG_INFO
	err := windows.GetFileInformationByHandleEx(h, windows.FileAttributeTagInfo,
		(*byte)(unsafe.Pointer(&tag)), uint32(unsafe.Sizeof(tag)))
	return err == nil && isSurrogate(tag.tag)
}

// isSurrogate reports whether a reparse tag names another file or folder.
func isSurrogate(tag uint32) bool {
	const nameSurrogate = 0x20000000
	return tag&nameSurrogate != 0
}

// Close closes the folder. It may be called more than once.
func (d *Dir) Close() {
	if !d.closed.Swap(true) {
		windows.CloseHandle(d.handle) //nolint:errcheck // nothing was written
	}
}

// Info describes the folder itself.
func (d *Dir) Info() (Info, error) {
	info, err := describe(d.handle, filepath.Base(d.path))
	return info, d.failed("stat", "", err)
}

// InfoOf describes an open file. Another one may have its name by now.
func InfoOf(f *os.File) (Info, error) {
	info, err := describe(windows.Handle(f.Fd()), filepath.Base(f.Name()))
	if err != nil {
		return Info{}, &fs.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	return info, nil
}

// describe describes an open file or folder. Changed is the volume's record (NTFS has one, FAT has
// not).
func describe(h windows.Handle, name string) (Info, error) {
	var st windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(h, &st); err != nil {
		return Info{}, err
	}
	info := Info{
		Name: name, Size: int64(st.FileSizeHigh)<<32 | int64(st.FileSizeLow), Mode: 0o666,
		ModTime: time.Unix(0, st.LastWriteTime.Nanoseconds()),
		Links:   uint64(st.NumberOfLinks),
		ID: ID{uint64(st.VolumeSerialNumber),
			uint64(st.FileIndexHigh)<<32 | uint64(st.FileIndexLow)},
	}
	if st.FileAttributes&windows.FILE_ATTRIBUTE_READONLY != 0 {
		info.Mode = 0o444
	}
	switch {
	case isLink(h, st.FileAttributes):
		info.Mode |= fs.ModeSymlink
	case st.FileAttributes&windows.FILE_ATTRIBUTE_DIRECTORY != 0:
		info.Mode |= fs.ModeDir | 0o111
	}
	var basic struct { // FILE_BASIC_INFO
		created, accessed, written, changed int64 // 100 ns since 1601
		attributes                          uint32
	}
	info.Changed = info.ModTime
	err := windows.GetFileInformationByHandleEx(h, windows.FileBasicInfo,
		(*byte)(unsafe.Pointer(&basic)), uint32(unsafe.Sizeof(basic)))
	at := windows.Filetime{LowDateTime: uint32(basic.changed),
		HighDateTime: uint32(basic.changed >> 32)}
	if noted := time.Unix(0, at.Nanoseconds()); err == nil && noted.After(info.Changed) {
		info.Changed = noted
	}
	return info, nil
}

// IsOurs returns true: owners are not distinguished here.
func (i Info) IsOurs() bool { return true }

// IsShared returns false: access lists decide here, and are not read.
func (i Info) IsShared() bool { return false }

func (d *Dir) sub(name string) (*Dir, error) {
	return hold(d.at(name), windows.FILE_FLAG_OPEN_REPARSE_POINT)
}

func (d *Dir) lstat(name string) (Info, error) {
	h, err := createFile(d.at(name), windows.FILE_READ_ATTRIBUTES, shareAll,
		windows.FILE_FLAG_OPEN_REPARSE_POINT)
	if err != nil {
		return Info{}, d.failed("lstat", name, err)
	}
	info, err := describe(h, name)
	return info, d.failed("lstat", name, errors.Join(err, windows.CloseHandle(h)))
}

// open opens a file so that others may read, rename and delete it meanwhile, but not write.
func (d *Dir) open(name string) (*os.File, Info, error) {
	return d.openFile(name, windows.GENERIC_READ, windows.FILE_SHARE_READ|windows.FILE_SHARE_DELETE)
}

func (d *Dir) append(name string) (*os.File, error) {
	f, _, err := d.openFile(name, windows.FILE_APPEND_DATA, shareAll)
	return f, err
}

func (d *Dir) openFile(name string, access, share uint32) (*os.File, Info, error) {
	h, err := d.content(name, access|windows.FILE_READ_ATTRIBUTES, share)
	if err != nil {
		return nil, Info{}, d.failed("open", name, err)
	}
	info, err := describe(h, name)
	if err == nil && !info.IsRegular() {
		err = ErrNotRegular
	}
	if err != nil {
		return nil, Info{}, d.failed("open", name, errors.Join(err, windows.CloseHandle(h)))
	}
	return os.NewFile(uintptr(h), d.at(name)), info, nil
}

// content opens the file itself first, to see a link. If the system stores the content apart
// (deduplicated, compressed or in a cloud), that handle would read nothing or zeros, so the file is
// opened again.
func (d *Dir) content(name string, access, share uint32) (windows.Handle, error) {
	h, err := createFile(d.at(name), access, share, windows.FILE_FLAG_OPEN_REPARSE_POINT)
	if err != nil {
		return 0, err
	}
	var first windows.ByHandleFileInformation
	err = windows.GetFileInformationByHandle(h, &first)
	if err == nil && first.FileAttributes&windows.FILE_ATTRIBUTE_REPARSE_POINT == 0 {
		return h, nil
	}
	if err == nil && isLink(h, first.FileAttributes) {
		err = ErrLink
	}
	if err = errors.Join(err, windows.CloseHandle(h)); err != nil {
		return 0, err
	}
	if h, err = createFile(d.at(name), access, share, 0); err != nil {
		return 0, err
	}
	var reopened windows.ByHandleFileInformation
	err = windows.GetFileInformationByHandle(h, &reopened)
	if err == nil && (reopened.VolumeSerialNumber != first.VolumeSerialNumber ||
		reopened.FileIndexHigh != first.FileIndexHigh ||
		reopened.FileIndexLow != first.FileIndexLow) {
		err = ErrLink // it was replaced meanwhile
	}
	if err != nil {
		return 0, errors.Join(err, windows.CloseHandle(h))
	}
	return h, nil
}

func (d *Dir) create(name string, perm fs.FileMode) (*os.File, error) {
	return os.OpenFile(d.at(name), os.O_RDWR|os.O_CREATE|os.O_EXCL, perm)
}

func (d *Dir) mkdir(name string, perm fs.FileMode) error { return os.Mkdir(d.at(name), perm) }

func (d *Dir) remove(name string) error { return os.Remove(d.at(name)) }

func (d *Dir) removeDir(name string) error {
	path, err := windows.UTF16PtrFromString(d.at(name))
	if err != nil {
		return d.failed("remove", name, err)
	}
	return d.failed("remove", name, windows.RemoveDirectory(path))
}

func rename(from *Dir, name string, to *Dir, newName string) error {
	return unwrap(durable.Replace(from.at(name), to.at(newName)))
}

func renameNoReplace(from *Dir, name string, to *Dir, newName string) error {
	return unwrap(durable.RenameNoReplace(from.at(name), to.at(newName)))
}

// renameByLook is renameNoReplace: on Windows no rename replaces unless it is asked to.
func renameByLook(from *Dir, name string, to *Dir, newName string) error {
	return renameNoReplace(from, name, to, newName)
}

// isRefused reports whether the system refuses a value.
func isRefused(err error) bool { return errors.Is(err, windows.ERROR_INVALID_PARAMETER) }

// unwrap removes the layer with the names.
func unwrap(err error) error {
	var names *os.LinkError
	if errors.As(err, &names) {
		return names.Err
	}
	return err
}

func (d *Dir) reader() (*os.File, error) { return os.Open(d.path) }

func (d *Dir) chtimes(name string, t time.Time) error {
	info, err := d.lstat(name)
	if err == nil && info.Mode&fs.ModeSymlink != 0 {
		err = d.failed("set the time of", name, ErrLink)
	}
	if err != nil {
		return err
	}
	return os.Chtimes(d.at(name), t, t)
}

// Sync makes the entries of the folder durable.
func (d *Dir) Sync() error { return durable.SyncDir(d.path) }

func (d *Dir) syncFile(name string) error {
	info, err := d.lstat(name)
	switch {
	case err != nil:
		return err
	case info.Mode&fs.ModeSymlink != 0:
		return d.failed("sync", name, ErrLink)
	}
	return durable.SyncFile(d.at(name))
}

func (d *Dir) syncFS() error { return durable.ErrUnsupported }

// Free returns the number of bytes that this process can still write to the folder's volume.
func (d *Dir) Free() (int64, error) { return durable.Free(d.path) }

// Room returns the room of the folder's volume. It has no limited number of files.
func (d *Dir) Room() (Room, error) {
	free, err := durable.Free(d.path)
	if err != nil {
		return Room{}, err
	}
	size, err := durable.Capacity(d.path)
	return Room{Free: free, Size: size}, err
}

// chmod does nothing: permission bits mean nothing here, access is the folder's list.
func chmod(*os.File, fs.FileMode) error { return nil }

// writer opens the file without sharing it for writing: the system refuses if there is a writer. So
// does the server of a share, which may not know all of them. A writer that comes at that moment is
// refused instead.
func (d *Dir) writer(name string) (Writer, error) {
	f, _, err := d.open(name)
	if errors.Is(err, windows.ERROR_SHARING_VIOLATION) {
		return HasWriter, nil
	}
	if err != nil {
		return Unknown, err
	}
	if d.Class() == Shared {
		return Unknown, f.Close()
	}
	return NoWriter, f.Close()
}

// disk describes the folder's volume.
func (d *Dir) disk() (disk Disk, err error) {
	var status windows.IO_STATUS_BLOCK
	var device struct{ kind, characteristics uint32 } // FILE_FS_DEVICE_INFORMATION
	code, _, _ := queryVolume.Call(uintptr(d.handle), uintptr(unsafe.Pointer(&status)),
		uintptr(unsafe.Pointer(&device)), unsafe.Sizeof(device), fileFsDeviceInformation)
	if code != 0 {
		return disk, d.failed("describe the disk of", "", windows.NTStatus(code))
	}
	if device.characteristics&fileRemoteDevice == 0 {
		disk.Class = Local
	}
	return disk, nil
}

var queryVolume = windows.NewLazySystemDLL("ntdll.dll").NewProc("NtQueryVolumeInformationFile")

const (
	fileFsDeviceInformation = 4
	fileRemoteDevice        = 0x10
)

func (d *Dir) isSameMount(other *Dir) (bool, error) { return d.isSameVolume(other) }

// ProtectsLinks reports true: a second name needs the right to change the attributes of the file.
func ProtectsLinks() bool { return true }
