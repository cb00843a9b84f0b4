//go:build unix

package outbox

import (
	"io/fs"
	"os"
	"strconv"
	"syscall"
	"time"

	"sealpost/agent/ledger"
	"sealpost/internal/words"
)

// identify tells a file's identity and when its inode changed.
func identify(_ string, info fs.FileInfo) (file string, changed time.Time, err error) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "", changed, words.NoFileIdentity(info.Name())
	}
	name := strconv.AppendUint(make([]byte, 0, 33), uint64(st.Dev), 16) //nolint:unconvert // Dev is 32 bits wide on darwin
	name = strconv.AppendUint(append(name, ':'), st.Ino, 16)
	return string(name), changeTime(st), nil
}

// opened identifies a file that is open: what is read is what was claimed, whatever lies at its path by now.
func opened(f *os.File, path string) (ledger.Source, error) {
	info, err := f.Stat()
	if err != nil {
		return ledger.Source{}, err
	}
	source, _, err := sourceOf(path, info)
	return source, err
}

// openShared opens a file for reading. It never waits, not even for a pipe that took the file's place meanwhile.
func openShared(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
}
