//go:build unix && !linux

package trouble

import "syscall"

func isDamage(syscall.Errno) bool { return false }
