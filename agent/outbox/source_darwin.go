package outbox

import (
	"io/fs"
	"syscall"
	"time"
)

func changed(info fs.FileInfo) time.Time {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(st.Ctimespec.Unix())
	}
	return info.ModTime()
}

// beingWritten cannot be known here; only that the file may be read.
func beingWritten(path string) (open, certain bool, err error) {
	f, err := openShared(path)
	if err != nil {
		return false, false, err
	}
	return false, false, f.Close()
}
