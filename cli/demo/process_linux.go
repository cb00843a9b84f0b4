package demo

import "syscall"

const terminate = syscall.SIGTERM

// childAttributes keeps a child out of the terminal's Ctrl-C, which the demo passes on in order.
// The child ends with the demo, however the demo ends.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
