package outbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"

	"sealpost/agent/ledger"
	"sealpost/internal/words"
)

const shareAll = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE

// identify tells a file's identity and when it changed, on volumes that note it (NTFS does, FAT does not).
func identify(path string, info fs.FileInfo) (file string, changed time.Time, err error) {
	h, err := openHandle(path, 0, shareAll, windows.FILE_FLAG_OPEN_REPARSE_POINT)
	if err != nil {
		return "", changed, &fs.PathError{Op: "identify", Path: path, Err: err}
	}
	defer windows.CloseHandle(h) //nolint:errcheck // nothing was written
	if file, err = handleID(h); err != nil {
		return "", changed, &fs.PathError{Op: "identify", Path: path, Err: err}
	}
	var basic struct { // FILE_BASIC_INFO
		created, accessed, written, changed int64 // 100 ns since 1601
		attributes                          uint32
	}
	changed = info.ModTime()
	err = windows.GetFileInformationByHandleEx(h, windows.FileBasicInfo, (*byte)(unsafe.Pointer(&basic)), uint32(unsafe.Sizeof(basic)))
	at := windows.Filetime{LowDateTime: uint32(basic.changed), HighDateTime: uint32(basic.changed >> 32)}
	if noted := time.Unix(0, at.Nanoseconds()); err == nil && noted.After(changed) {
		changed = noted
	}
	return file, changed, nil
}

func handleID(h windows.Handle) (string, error) {
	var info windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(h, &info); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x:%x%08x", info.VolumeSerialNumber, info.FileIndexHigh, info.FileIndexLow), nil
}

// opened identifies a file that is open, and so cannot be replaced by a writer: by what lies at its path.
func opened(_ *os.File, path string) (ledger.Source, error) {
	source, _, err := stat(path)
	return source, err
}

// openShared opens a file so that others may read, rename and delete it meanwhile, but not write. It follows no link.
func openShared(path string) (*os.File, error) {
	h, err := openContent(path, windows.FILE_SHARE_READ|windows.FILE_SHARE_DELETE)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(h), path), nil
}

// openContent opens the file itself first, which shows whether it is a link. Where the system keeps the content elsewhere
// (deduplicated, compressed or in a cloud), opening it like that would read nothing or zeros, so it is opened again.
func openContent(path string, share uint32) (windows.Handle, error) {
	h, err := openHandle(path, windows.GENERIC_READ, share, windows.FILE_FLAG_OPEN_REPARSE_POINT)
	if err != nil {
		return 0, err
	}
	var tag struct{ attributes, tag uint32 } // FILE_ATTRIBUTE_TAG_INFO
	err = windows.GetFileInformationByHandleEx(h, windows.FileAttributeTagInfo, (*byte)(unsafe.Pointer(&tag)), uint32(unsafe.Sizeof(tag)))
	if err != nil || tag.attributes&windows.FILE_ATTRIBUTE_REPARSE_POINT == 0 {
		return h, nil // a volume that does not tell has no such files
	}
	before, err := handleID(h)
	err = errors.Join(err, windows.CloseHandle(h))
	if err != nil {
		return 0, err
	}
	if leadsElsewhere(tag.tag) {
		return 0, errors.New(words.IsLink)
	}
	if h, err = openHandle(path, windows.GENERIC_READ, share, 0); err != nil {
		return 0, err
	}
	if after, err := handleID(h); err != nil || after != before {
		return 0, errors.Join(err, errors.New(words.ReplacedMeanwhile), windows.CloseHandle(h))
	}
	return h, nil
}

// leadsElsewhere tells the reparse points that name another file from those that only keep content apart.
func leadsElsewhere(tag uint32) bool {
	const nameSurrogate = 0x20000000
	return tag&nameSurrogate != 0
}

// beingWritten opens the file without allowing writers: the system refuses while there is one. A writer who comes in that
// very instant is refused instead; it is the instant before the file is taken.
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

func openHandle(path string, access, share, flags uint32) (windows.Handle, error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return 0, err
	}
	return windows.CreateFile(name, access, share, nil, windows.OPEN_EXISTING, flags|windows.FILE_FLAG_BACKUP_SEMANTICS, 0)
}
