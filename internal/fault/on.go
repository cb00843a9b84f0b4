//go:build faultpoints

package fault

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
)

var passed atomic.Int64

// Point kills the process, like a power cut, if SEALPOST_FAULT names it. It appends its name to the
// file named in SEALPOST_TRACE.
func Point(name string) {
	trace(name)
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

func trace(name string) {
	path := os.Getenv("SEALPOST_TRACE")
	if path == "" {
		return
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err == nil {
		_, err = f.WriteString(name + "\n")
	}
	if err = errors.Join(err, f.Close()); err != nil {
		os.Exit(2)
	}
}
