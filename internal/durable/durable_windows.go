package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"time"

	"golang.org/x/sys/windows"
)

// SyncFile makes the content of a file durable. Windows flushes only through a writable handle, so
// the read-only attribute is removed meanwhile. A file that is not writable, or locked by another
// program, is an error.
func SyncFile(path string) error {
	err := flush(path, windows.FILE_ATTRIBUTE_NORMAL)
	if errors.Is(err, windows.ERROR_ACCESS_DENIED) {
		err = flushReadOnly(path, err)
	}
	if err != nil {
		return fmt.Errorf("sync %s: %w", path, err)
	}
	return nil
}

// flushReadOnly returns the given error if the file is not read-only.
func flushReadOnly(path string, first error) error {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return err
	}
	attributes, err := windows.GetFileAttributes(name)
	if err != nil || attributes&windows.FILE_ATTRIBUTE_READONLY == 0 {
		return first
	}
	if err := windows.SetFileAttributes(name,
		attributes&^windows.FILE_ATTRIBUTE_READONLY); err != nil {
		return err
	}
	err = flush(path, windows.FILE_ATTRIBUTE_NORMAL)
	return errors.Join(err, windows.SetFileAttributes(name, attributes))
}

// SyncDir makes the entries of a folder durable, if Windows can. NTFS and ReFS flush a folder's
// handle. A refusal of another volume (some network shares) is ignored, because our renames are
// written through.
func SyncDir(dir string) error {
	err := flush(dir, windows.FILE_FLAG_BACKUP_SEMANTICS)
	refused := errors.Is(err, windows.ERROR_ACCESS_DENIED) ||
		errors.Is(err, windows.ERROR_INVALID_FUNCTION) ||
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
	h, err := windows.CreateFile(name, windows.GENERIC_READ|windows.GENERIC_WRITE, share, nil,
		windows.OPEN_EXISTING, flags, 0)
	if err != nil {
		return err
	}
	err = windows.FlushFileBuffers(h)
	if closed := windows.CloseHandle(h); err == nil {
		err = closed
	}
	return err
}

// canPass reports whether a refusal can end when another program closes a file. Windows returns
// "access denied" both for an open file and for one that can never be replaced.
func canPass(err error) bool { return InUse(err) || errors.Is(err, windows.ERROR_ACCESS_DENIED) }

// busyTime bounds the wait of a replacement for other programs: a virus scanner, a search index, a
// reader.
const busyTime = 2 * time.Second

// replace retries a rename. Windows refuses it while a program has one of the files open without
// sharing it for deletion, as most do.
func replace(old, new string) error {
	deadline := time.Now().Add(busyTime)
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		err := move(old, new, windows.MOVEFILE_REPLACE_EXISTING|windows.MOVEFILE_WRITE_THROUGH)
		if err == nil || !canPass(err) || time.Now().Add(pause).After(deadline) {
			return err
		}
		time.Sleep(pause)
	}
}

// InUse reports whether an operation failed because another program has the file open.
func InUse(err error) bool { return errors.Is(err, windows.ERROR_SHARING_VIOLATION) }

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

func tryLock(f *os.File) error {
	const how = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	err := windows.LockFileEx(windows.Handle(f.Fd()), how, 0, 1, 0, new(windows.Overlapped))
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return ErrLocked
	}
	return err
}

// Free returns the number of bytes that this process can still write to the volume of dir.
func Free(dir string) (int64, error) {
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	var available uint64
	if err := windows.GetDiskFreeSpaceEx(name, &available, nil, nil); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return int64(min(available, math.MaxInt64)), nil
}

// Capacity returns the size of the volume of dir in bytes.
func Capacity(dir string) (int64, error) {
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, fmt.Errorf("size of the volume of %s: %w", dir, err)
	}
	var total uint64
	if err := windows.GetDiskFreeSpaceEx(name, nil, &total, nil); err != nil {
		return 0, fmt.Errorf("size of the volume of %s: %w", dir, err)
	}
	return int64(min(total, math.MaxInt64)), nil
}

// IsFull reports whether an error means that a disk, or the account's share of it, is full.
func IsFull(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) ||
		errors.Is(err, windows.ERROR_HANDLE_DISK_FULL) ||
		errors.Is(err, windows.ERROR_DISK_QUOTA_EXCEEDED)
}
