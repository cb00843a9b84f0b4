package tray

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sealpost/internal/beneath"
	"sealpost/internal/reason"
	"sealpost/internal/testkit"
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

// A path is as long as the format takes, or its folder is not finished. A path of the system has a
// bound of about the same length, so the folders are made one in another.
func TestAPathThatIsTooLong(t *testing.T) {
	for length, isTaken := range map[int]bool{MaxPath - 1: true, MaxPath: true,
		MaxPath + 1: false, MaxPath + 700: false} {
		for _, name := range []string{"file", "dir"} {
			root := t.TempDir()
			above := deep(t, root, "top", length-1)
			if name == "dir" {
				testkit.Must(t, above.Mkdir("e", 0o700))
			} else {
				f, err := above.Create("e", 0o600)
				testkit.Must(t, errors.Join(err, f.Close()))
			}
			above.Close()
			var no *Never
			_, _, err := finishedAt(t, filepath.Join(root, "top"), Settling{}, inTime())
			isNever := errors.As(err, &no) && no.Why.Code == "cannot-be-sent"
			if isTaken && err != nil || !isTaken && !isNever {
				t.Errorf("a %s with %d bytes: %v", name, length, err)
			}
		}
	}
}

// deep makes folders one in another, and returns the last. Its path has this length, with a slash
// at its end.
func deep(t *testing.T, root, top string, length int) *beneath.Dir {
	t.Helper()
	d, err := beneath.Open(root)
	testkit.Must(t, err)
	for name := top; name != ""; {
		testkit.Must(t, d.Mkdir(name, 0o700))
		next, err := d.Dir(name)
		testkit.Must(t, err)
		d.Close()
		d = next
		length -= len(name) + 1
		name = strings.Repeat("d", min(200, max(length-1, 0)))
	}
	return d
}
