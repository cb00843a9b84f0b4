package tray

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sealpost/internal/reason"
)

// TestAFolderOfVeryManyLevels keeps the number of open folders bounded, and names the reason.
func TestAFolderOfVeryManyLevels(t *testing.T) {
	for levels, fits := range map[int]bool{maxLevels: true, maxLevels + 1: false} {
		h := opened(t, newTray(t))
		set := filepath.Join(h.t.Dir, "outbox", "set")
		mkdir(t, set)
		deepen(t, set, levels)
		d, err := h.Dir(OutboxPart)
		if err != nil {
			t.Fatal(err)
		}
		err = h.Copy(t.Context(), d, "set", d, "copy")
		var no *Never
		if refused := errors.As(err, &no) && strings.Contains(no.Error(),
			reason.New("too-many-levels").String()); fits && err != nil || !fits && !refused {
			t.Errorf("%d levels: %v", levels, err)
		}
		if err := h.Root.RemoveAll("outbox/copy"); err != nil {
			t.Errorf("the copy of %d levels stays: %v", levels, err)
		}
	}
}

// deepen makes folders in one another.
func deepen(t *testing.T, path string, levels int) {
	t.Helper()
	at, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY, 0)
	for range levels {
		next := -1
		if err = errors.Join(err, unix.Mkdirat(at, "d", 0o777)); err == nil {
			next, err = unix.Openat(at, "d", unix.O_PATH|unix.O_DIRECTORY, 0)
		}
		if err != nil {
			t.Fatal(os.NewSyscallError("deepen", err))
		}
		unix.Close(at)
		at = next
	}
	unix.Close(at)
}
