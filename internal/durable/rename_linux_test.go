package durable

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// The second way is taken exactly where the file system lacks the first, never to get around an
// answer.
func TestFallbackIsTakenOnlyWhereTheFirstWayIsMissing(t *testing.T) {
	for _, c := range []struct {
		answer error
		second bool
	}{
		{nil, false}, {unix.EINVAL, true}, {unix.ENOSYS, true}, {unix.EEXIST, false},
		{unix.ENOENT, false}, {unix.EXDEV, false}, {unix.EIO, false},
	} {
		taken := false
		err := renameOr(
			func(_, _ Entry) error { return c.answer },
			func(_, _ Entry) error { taken = true; return nil },
			byPath("old"), byPath("new"))
		if taken != c.second || (!taken && !errors.Is(err, c.answer)) {
			t.Errorf("answer %v: second way taken %v, error %v", c.answer, taken, err)
		}
	}
}
