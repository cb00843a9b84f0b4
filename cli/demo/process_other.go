//go:build !linux

package demo

import (
	"os"
	"syscall"
)

var terminate = os.Interrupt

// childAttributes returns nil: the demo needs a hub, and so starts no child on this system.
func childAttributes() *syscall.SysProcAttr { return nil }
