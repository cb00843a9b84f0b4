//go:build unix

package outbox

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

func fileID(_ string, info fs.FileInfo) (string, error) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "", fmt.Errorf("%s: the system tells no file identity", info.Name())
	}
	return fmt.Sprintf("%x:%x", uint64(st.Dev), st.Ino), nil //nolint:unconvert // Dev is 32 bits wide on darwin
}

// openShared opens a file for reading. It never waits, not even for a pipe that took the file's place meanwhile.
func openShared(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
}
