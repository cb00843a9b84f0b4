package tray

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"sealpost/internal/beneath"
	"sealpost/internal/reason"
)

// TestAFileThatIsTooLarge is not finished, neither alone nor in a folder. tmpfs has files of the
// largest size there is.
func TestAFileThatIsTooLarge(t *testing.T) {
	dir, err := os.MkdirTemp("/dev/shm", "tray")
	if err != nil {
		t.Skip("SKIPPED: no tmpfs: ", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	single, inside := put(t, dir, "large"), put(t, dir, "folder/large")
	for _, path := range []string{single, inside} {
		if err := os.Truncate(path, math.MaxInt64); err != nil {
			if errors.Is(err, unix.EFBIG) {
				t.Skip("SKIPPED: no file of this size: ", err)
			}
			t.Fatal(err)
		}
	}
	why := tooLarge()
	inside = filepath.Dir(inside)
	for path, want := range map[string]reason.Reason{
		single: why,
		inside: reason.New("cannot-be-sent", "name", "large", "why", why),
	} {
		var no *Never
		if _, _, err := finishedAt(t, path, Settling{}, inTime()); !errors.As(err, &no) ||
			no.Why != want {
			t.Errorf("%s: %v", filepath.Base(path), err)
		}
	}
}

// TestAFolderThatIsTooLarge is not finished, however many files it takes. Their sum does not
// overflow.
func TestAFolderThatIsTooLarge(t *testing.T) {
	var sum Sum
	sum.Add("", beneath.Info{Mode: os.ModeDir})
	sum.Add("a", beneath.Info{Size: MaxSize - 1})
	sum.Add("b", beneath.Info{Size: 1})
	if err := sum.fits(); err != nil || sum.Source.Size != MaxSize {
		t.Errorf("the largest folder: %d, %v", sum.Source.Size, err)
	}
	for range 3 {
		sum.Add("c", beneath.Info{Size: math.MaxInt64})
	}
	var no *Never
	if err := sum.fits(); !errors.As(err, &no) || sum.Source.Size <= MaxSize {
		t.Errorf("a larger one: %d, %v", sum.Source.Size, err)
	}
}
