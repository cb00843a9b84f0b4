package outbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/windows"
)

func changed(info fs.FileInfo) time.Time { return info.ModTime() }

func fileID(path string, _ fs.FileInfo) (string, error) {
	h, err := openHandle(path, 0, windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE|windows.FILE_SHARE_DELETE)
	if err != nil {
		return "", &fs.PathError{Op: "identify", Path: path, Err: err}
	}
	defer windows.CloseHandle(h) //nolint:errcheck // nothing was written
	var info windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(h, &info); err != nil {
		return "", &fs.PathError{Op: "identify", Path: path, Err: err}
	}
	return fmt.Sprintf("%x:%x%08x", info.VolumeSerialNumber, info.FileIndexHigh, info.FileIndexLow), nil
}

// openShared opens a file so that others may read, rename and delete it meanwhile, but not write.
func openShared(path string) (*os.File, error) {
	h, err := openHandle(path, windows.GENERIC_READ, windows.FILE_SHARE_READ|windows.FILE_SHARE_DELETE)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(h), path), nil
}

// beingWritten opens the file without allowing writers: the system refuses while there is one.
func beingWritten(path string) (open, certain bool, err error) {
	f, err := openShared(path)
	if errors.Is(err, windows.ERROR_SHARING_VIOLATION) {
		return true, true, nil
	}
	if err != nil {
		return false, false, err
	}
	return false, true, f.Close()
}

func openHandle(path string, access, share uint32) (windows.Handle, error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return 0, err
	}
	return windows.CreateFile(name, access, share, nil, windows.OPEN_EXISTING, windows.FILE_FLAG_BACKUP_SEMANTICS|windows.FILE_FLAG_OPEN_REPARSE_POINT, 0)
}
