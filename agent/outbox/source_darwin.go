package outbox

import (
	"syscall"
	"time"
)

func changeTime(st *syscall.Stat_t) time.Time { return time.Unix(st.Ctimespec.Unix()) }

// beingWritten cannot be known here; only that the file may be read.
func beingWritten(path string) (open, certain bool, err error) {
	f, err := openShared(path)
	if err != nil {
		return false, false, err
	}
	return false, false, f.Close()
}
