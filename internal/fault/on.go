//go:build faultpoints

package fault

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
)

var passed atomic.Int64

// Point kills the process, like a power cut, if SEALPOST_FAULT names it.
func Point(name string) {
	want, count, counted := strings.Cut(os.Getenv("SEALPOST_FAULT"), ":")
	if want != name {
		return
	}
	n := int64(1)
	if counted {
		n, _ = strconv.ParseInt(count, 10, 64)
	}
	if passed.Add(1) != n {
		return
	}
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Kill()
	}
	if err != nil {
		os.Exit(137)
	}
	select {} // the signal ends every goroutine, this one included
}
