//go:build !windows

package coredump

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestOffIsForGood(t *testing.T) {
	for range 2 {
		if err := Off(); err != nil {
			t.Fatal(err)
		}
	}
	var now unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &now); err != nil || now.Cur != 0 || now.Max != 0 {
		t.Errorf("the limit is %+v, %v", now, err)
	}
}
