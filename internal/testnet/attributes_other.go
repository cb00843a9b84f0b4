//go:build !linux

package testnet

import "syscall"

func attributes() *syscall.SysProcAttr { return nil }
