package demo

import "syscall"

const terminate = syscall.SIGTERM

// childAttributes keep a child out of the terminal's Ctrl-C, which the demo passes on in order, and end it with the demo,
// whatever ends that.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
