package testnet

import "syscall"

// attributes let a process end with the test, whatever ends that.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
