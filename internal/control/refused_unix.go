//go:build unix

package control

import "syscall"

const connectionRefused = syscall.ECONNREFUSED
