package trouble

import (
	"errors"
	"io/fs"
	"syscall"

	"golang.org/x/sys/windows"
)

var causes = map[syscall.Errno]cause{
	windows.ERROR_NOT_SAME_DEVICE: otherDisk, windows.ERROR_WRITE_PROTECT: readOnly,
	windows.ERROR_DISK_FULL: noRoom, windows.ERROR_HANDLE_DISK_FULL: noRoom,
	windows.ERROR_DISK_QUOTA_EXCEEDED: overQuota,
	windows.ERROR_TOO_MANY_OPEN_FILES: openFiles, windows.ERROR_NO_SYSTEM_RESOURCES: openFiles,
	windows.ERROR_CRC: damaged, windows.ERROR_IO_DEVICE: damaged,
	windows.ERROR_FILE_CORRUPT: damaged, windows.ERROR_DISK_CORRUPT: damaged,
	windows.ERROR_NOT_READY: unreachable, windows.ERROR_BAD_NETPATH: unreachable,
	windows.ERROR_BAD_NET_NAME: unreachable, windows.ERROR_NETNAME_DELETED: unreachable,
	windows.ERROR_UNEXP_NET_ERR: unreachable, windows.ERROR_SEM_TIMEOUT: unreachable,
	windows.ERROR_DEV_NOT_EXIST:  unreachable,
	windows.ERROR_FILE_TOO_LARGE: tooLarge, windows.ERROR_FILENAME_EXCED_RANGE: nameTooLong,
	windows.ERROR_INVALID_NAME: nameInvalid, windows.ERROR_ACCESS_DENIED: noRight,
}

func causeOf(err error) cause {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return causes[errno]
	}
	if errors.Is(err, fs.ErrPermission) {
		return noRight
	}
	return unknown
}
