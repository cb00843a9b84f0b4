//go:build !windows

package coredump

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Off disables core dumps of this process and its children. systemd-coredump and apport respect
// that too.
func Off() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("turn core dumps off: %w", err)
	}
	return nil
}
