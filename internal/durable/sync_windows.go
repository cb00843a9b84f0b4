package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/windows"
)

// SyncFile makes the content of a file durable. Windows flushes only through a handle that may write, so a file that we
// may not write is an error.
func SyncFile(path string) error {
	if err := flush(path, windows.FILE_ATTRIBUTE_NORMAL); err != nil {
		return fmt.Errorf("sync %s: %w", path, err)
	}
	return nil
}

// SyncDir makes the entries of a folder durable, as far as Windows lets us: NTFS and ReFS flush a folder's handle; a volume
// that refuses (some network shares) is believed, because our renames are written through.
func SyncDir(dir string) error {
	err := flush(dir, windows.FILE_FLAG_BACKUP_SEMANTICS)
	refused := errors.Is(err, windows.ERROR_ACCESS_DENIED) || errors.Is(err, windows.ERROR_INVALID_FUNCTION) ||
		errors.Is(err, windows.ERROR_NOT_SUPPORTED)
	if err != nil && !refused {
		return fmt.Errorf("sync folder %s: %w", dir, err)
	}
	return nil
}

func flush(path string, flags uint32) error {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return err
	}
	const share = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE
	h, err := windows.CreateFile(name, windows.GENERIC_READ|windows.GENERIC_WRITE, share, nil, windows.OPEN_EXISTING, flags, 0)
	if err != nil {
		return err
	}
	err = windows.FlushFileBuffers(h)
	if closed := windows.CloseHandle(h); err == nil {
		err = closed
	}
	return err
}

// busyTime is how long a replacement waits for others to let go of the file: a virus scanner, a search index, a reader.
const busyTime = 2 * time.Second

// replace is refused by Windows while somebody has one of the files open who does not share it for deletion, and most do not.
func replace(old, new string) error {
	deadline := time.Now().Add(busyTime)
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		err := move(old, new, windows.MOVEFILE_REPLACE_EXISTING|windows.MOVEFILE_WRITE_THROUGH)
		if err == nil || !inUse(err) || time.Now().Add(pause).After(deadline) {
			return err
		}
		time.Sleep(pause)
	}
}

// inUse also takes what cannot be told from it: a file that may never be replaced.
func inUse(err error) bool {
	return errors.Is(err, windows.ERROR_SHARING_VIOLATION) || errors.Is(err, windows.ERROR_ACCESS_DENIED)
}

// renameNoReplace never copies to another volume: MOVEFILE_COPY_ALLOWED is absent.
func renameNoReplace(old, new string) error {
	return move(old, new, windows.MOVEFILE_WRITE_THROUGH)
}

func move(old, new string, flags uint32) error {
	from, err := windows.UTF16PtrFromString(old)
	if err != nil {
		return err
	}
	to, err := windows.UTF16PtrFromString(new)
	if err != nil {
		return err
	}
	return windows.MoveFileEx(from, to, flags)
}

// chmod does nothing: permission bits mean nothing here, access is the folder's ACL.
func chmod(*os.File, fs.FileMode) error { return nil }
