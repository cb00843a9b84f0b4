package stranger

import (
	"syscall"

	"golang.org/x/sys/windows"
)

var (
	refused = []syscall.Errno{windows.WSAECONNREFUSED}
	noWay   = []syscall.Errno{windows.WSAENETUNREACH, windows.WSAEHOSTUNREACH, windows.WSAENETDOWN}
)
