package service

import (
	"strings"
	"unsafe"

	"golang.org/x/sys/windows"
)

func checkPath(path string) error {
	if err := checkLine(path); err != nil {
		return err
	}
	return checkDrive(path, sessionDrives{})
}

// sessionDrives resolves the drive letters of the session that installs the service.
type sessionDrives struct{}

func (sessionDrives) isRemote(root string) bool {
	name, err := windows.UTF16PtrFromString(root)
	return err == nil && windows.GetDriveType(name) == windows.DRIVE_REMOTE
}

func (sessionDrives) isSubstitute(letter string) bool {
	name, err := windows.UTF16PtrFromString(letter)
	if err != nil {
		return false
	}
	var target [windows.MAX_PATH]uint16
	if _, err := windows.QueryDosDevice(name, &target[0], uint32(len(target))); err != nil {
		return false
	}
	return strings.HasPrefix(windows.UTF16ToString(target[:]), `\??\`)
}

var getConnection = windows.NewLazySystemDLL("mpr.dll").NewProc("WNetGetConnectionW")

// share returns the share behind a letter; x/sys has no such call.
func (sessionDrives) share(letter string) string {
	name, err := windows.UTF16PtrFromString(letter)
	if err != nil || getConnection.Find() != nil {
		return ""
	}
	var path [windows.MAX_PATH]uint16
	size := uint32(len(path))
	code, _, _ := getConnection.Call(uintptr(unsafe.Pointer(name)),
		uintptr(unsafe.Pointer(&path[0])), uintptr(unsafe.Pointer(&size)))
	if code != 0 {
		return ""
	}
	return windows.UTF16ToString(path[:])
}
