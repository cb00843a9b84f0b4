//go:build !linux

package demo

import (
	"os"
	"syscall"
)

var terminate = os.Interrupt

// childAttributes: the demo needs a hub, which runs on Linux only, so nothing is ever started here.
func childAttributes() *syscall.SysProcAttr { return nil }
