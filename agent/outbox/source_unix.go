//go:build unix

package outbox

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"sealpost/internal/words"
)

// identify tells a file's identity and when its inode changed.
func identify(_ string, info fs.FileInfo) (file string, changed time.Time, err error) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "", changed, words.NoFileIdentity(info.Name())
	}
	return fmt.Sprintf("%x:%x", uint64(st.Dev), st.Ino), changeTime(st), nil //nolint:unconvert // Dev is 32 bits wide on darwin
}

// openShared opens a file for reading. It never waits, not even for a pipe that took the file's place meanwhile.
func openShared(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
}
