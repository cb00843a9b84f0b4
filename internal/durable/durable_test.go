package durable

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestWriteFileMakesAndReplaces(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agent.toml")
	for _, content := range []string{"first", "", "a longer second version"} {
		if err := WriteFile(path, []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
		expectContent(t, path, content)
	}
	expectOnly(t, filepath.Dir(path), "agent.toml")
}

func TestWriteFileSetsPermissionsWhateverTheUmask(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("permission bits mean nothing on Windows")
	}
	for _, perm := range []fs.FileMode{0o600, 0o644, 0o666} {
		path := filepath.Join(t.TempDir(), "file")
		if err := WriteFile(path, []byte("x"), perm); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != perm {
			t.Errorf("permissions %o, want %o", info.Mode().Perm(), perm)
		}
	}
}

func TestWriteFileLeavesNothingWhenItFails(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(dir, "taken")
	mkdir(t, filepath.Join(target, "by-a-folder"))
	if err := WriteFile(target, []byte("x"), 0o600); err == nil ||
		!strings.Contains(err.Error(), target) {
		t.Errorf("replaced a folder by a file: %v", err)
	}
	expectOnly(t, dir, "taken")
	err := WriteFile(filepath.Join(dir, "absent", "file"), []byte("x"), 0o600)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("wrote into a folder that does not exist: %v", err)
	}
}

// A reader never sees half of a file, nor the file gone, while writers replace it.
func TestWriteFileIsNeverSeenHalf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	versions := [][]byte{bytes.Repeat([]byte("a"), 100_000), bytes.Repeat([]byte("b"), 50_000)}
	if err := WriteFile(path, versions[0], 0o600); err != nil {
		t.Fatal(err)
	}
	var writers sync.WaitGroup
	for _, v := range versions {
		writers.Go(func() {
			for range 50 {
				if err := WriteFile(path, v, 0o600); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { writers.Wait(); close(done) }()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		got, err := os.ReadFile(path)
		if runtime.GOOS == "windows" {
			time.Sleep(5 * time.Millisecond) // there a file that is always open cannot be replaced
			if err != nil {
				continue // nor open one that is just being replaced
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, versions[0]) && !bytes.Equal(got, versions[1]) {
			t.Fatalf("saw %d bytes that nobody wrote", len(got))
		}
	}
}

func TestMkdirAll(t *testing.T) {
	root := t.TempDir()
	deep := filepath.Join(root, "a", "b", "c")
	for range 2 {
		if err := MkdirAll(deep, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(deep)
	if err != nil || !info.IsDir() {
		t.Fatalf("%v, %v", info, err)
	}
	write(t, filepath.Join(root, "file"), "x")
	if err := MkdirAll(filepath.Join(root, "file"), 0o700); err == nil {
		t.Error("a file passed for a folder")
	}
	if err := MkdirAll(filepath.Join(root, "file", "below"), 0o700); err == nil {
		t.Error("made a folder below a file")
	}
}

func TestMkdirAllAtOnce(t *testing.T) {
	deep := filepath.Join(t.TempDir(), "a", "b", "c")
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := MkdirAll(deep, 0o700); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func TestSync(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	write(t, file, "x")
	if err := errors.Join(SyncFile(file), SyncDir(dir)); err != nil {
		t.Error(err)
	}
	absent := filepath.Join(dir, "absent")
	for name, err := range map[string]error{
		"SyncFile": SyncFile(absent), "SyncDir": SyncDir(absent),
	} {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s of what does not exist: %v", name, err)
		}
	}
}

func TestSyncFSWhereThereIsOne(t *testing.T) {
	err := SyncFS(t.TempDir())
	if runtime.GOOS == "linux" && err != nil || runtime.GOOS != "linux" &&
		!errors.Is(err, ErrUnsupported) {
		t.Errorf("got %v", err)
	}
}

func TestFree(t *testing.T) {
	free, err := Free(t.TempDir())
	if err != nil || free <= 0 {
		t.Errorf("free %d, %v", free, err)
	}
	if _, err := Free(filepath.Join(t.TempDir(), "absent")); err == nil {
		t.Error("free space of what does not exist")
	}
}

func mkdir(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func expectContent(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s holds %q, want %q", path, got, want)
	}
}

// expectOnly fails when dir holds anything but the named entry: a temporary file left behind, say.
func expectOnly(t *testing.T, dir, name string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name() != name {
		t.Errorf("%s holds %v, want only %s", dir, entries, name)
	}
}

func TestAPathAndAName(t *testing.T) {
	for _, dir := range []string{"a", filepath.Join("a", "b"), string(filepath.Separator),
		filepath.VolumeName(t.TempDir()) + string(filepath.Separator)} {
		for _, name := range []string{"c", filepath.Join("c", "d")} {
			if got, want := Join(dir, name), filepath.Join(dir, name); got != want {
				t.Errorf("Join(%q, %q) = %q, want %q", dir, name, got, want)
			}
		}
	}
}
