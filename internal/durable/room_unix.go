//go:build unix

package durable

import (
	"errors"

	"golang.org/x/sys/unix"
)

// IsFull reports whether an error means that a disk, or the account's share of it, is full.
func IsFull(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }
