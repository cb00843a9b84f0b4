//go:build unix

package stranger

import "syscall"

var (
	refused = []syscall.Errno{syscall.ECONNREFUSED}
	noWay   = []syscall.Errno{syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.ENETDOWN}
)
