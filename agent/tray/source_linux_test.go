package tray

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestAMappedFileIsNotFinished(t *testing.T) {
	path := put(t, t.TempDir(), "data.bin")
	w, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	mem, err := syscall.Mmap(int(w.Fd()), 0, 7, syscall.PROT_READ|syscall.PROT_WRITE,
		syscall.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	w.Close() // the mapping alone can still write
	var wait *Later
	if _, _, err := finishedAt(t, path, Settling{}, inTime()); !errors.As(err, &wait) ||
		!wait.Open {
		t.Errorf("mapped: %v", err)
	}
	if err := syscall.Munmap(mem); err != nil {
		t.Fatal(err)
	}
	if _, _, err := finishedAt(t, path, Settling{}, inTime()); err != nil {
		t.Errorf("unmapped: %v", err)
	}
}

func TestWhatIsNoFileIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	target := put(t, dir, "target")
	for name, make := range map[string]func(string) error{
		"folder with a link": func(p string) error {
			return errors.Join(os.MkdirAll(filepath.Join(p, "deep"), 0o755),
				os.Symlink(target, filepath.Join(p, "deep", "link")))
		},
		"link":      func(p string) error { return os.Symlink(target, p) },
		"dangling":  func(p string) error { return os.Symlink("/nowhere", p) },
		"pipe":      func(p string) error { return syscall.Mkfifo(p, 0o644) },
		"bad \xff!": func(p string) error { return os.WriteFile(p, nil, 0o644) },
	} {
		path := filepath.Join(dir, name)
		if err := make(path); err != nil {
			t.Fatal(err)
		}
		var no *Never
		if _, _, err := finishedAt(t, path, Settling{}, inTime()); !errors.As(err, &no) ||
			no.Why.IsZero() {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, _, err := finishedAt(t, filepath.Join(dir, "absent"), Settling{},
		inTime()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
}
