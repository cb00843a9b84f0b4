package trouble

import "syscall"

// isDamage reports whether a file system has found itself damaged.
func isDamage(errno syscall.Errno) bool { return errno == syscall.EUCLEAN }
