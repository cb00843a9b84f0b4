package secretfile

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func TestCreateNeverReplaces(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.key")
	if err := Create(path, []byte("first")); err != nil {
		t.Fatal(err)
	}
	if err := Create(path, []byte("second")); !errors.Is(err, fs.ErrExist) {
		t.Fatalf("second Create: %v, want fs.ErrExist", err)
	}
	expect(t, path, "first")
	onlyFile(t, path)
}

func TestCreateHasOneWinner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.key")
	var wins atomic.Int32
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			if Create(path, bytes.Repeat([]byte{byte('a' + n)}, 100)) == nil {
				wins.Add(1)
			}
		})
	}
	wg.Wait()
	if wins.Load() != 1 {
		t.Fatalf("%d callers created the file, want one", wins.Load())
	}
	onlyFile(t, path)
}

func TestWriteReplacesWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.join")
	for _, content := range []string{"a long first content", "short"} {
		if err := Write(path, []byte(content)); err != nil {
			t.Fatal(err)
		}
		expect(t, path, content)
	}
	onlyFile(t, path)
}

func TestWriteFailsWithoutTraces(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "folder")
	if err := Write(filepath.Join(dir, "a"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in a missing folder: %v, want fs.ErrNotExist", err)
	}
	target := filepath.Join(dir, "taken")
	if err := os.MkdirAll(filepath.Join(target, "by a folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Write(target, []byte("x")); err == nil {
		t.Error("Write replaced a folder")
	}
	onlyFile(t, target)
}

func TestReadRefuses(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.key")
	if err := Create(path, []byte("12345678")); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(path, 7); err == nil || !strings.Contains(err.Error(), "more than 7 bytes") {
		t.Errorf("a file over the limit: %v", err)
	}
	if _, err := Read(dir, 100); err == nil {
		t.Error("Read took a folder")
	}
	if _, err := Read(path+"x", 100); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v, want fs.ErrNotExist", err)
	}
}

func TestMkdirAllIsPrivateAndIdempotent(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	for range 2 {
		if err := MkdirAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "k")
	if err := Create(path, []byte("x")); err != nil {
		t.Fatal(err)
	}
	expect(t, path, "x")
	if err := MkdirAll(path); err == nil {
		t.Error("MkdirAll took a file for a folder")
	}
}

func expect(t *testing.T, path, want string) {
	t.Helper()
	got, err := Read(path, 1000)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Fatalf("%s holds %q, want %q", path, got, want)
	}
}

// onlyFile checks that nothing lies beside path: no temporary file stayed.
func onlyFile(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name() != filepath.Base(path) {
		t.Fatalf("folder holds %v, want only %s", entries, filepath.Base(path))
	}
}

// The next exchange, or EndExchange, ends one that was interrupted. Before the rename the file
// stays as it is, after it the former content is overwritten.
func TestAnInterruptedExchange(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.key")
	must(t, Create(path, []byte("first")))
	former := path + ".former"
	has := func(path, want string) {
		t.Helper()
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%s has %q, %v; want %q", path, got, err, want)
		}
	}
	must(t, os.Link(path, former)) // before the rename
	must(t, EndExchange(path))
	has(path, "first")
	must(t, os.Link(path, former))
	kept := filepath.Join(t.TempDir(), "kept") // shows the content that has no other name
	must(t, os.Link(path, kept))
	must(t, Write(path, []byte("second"))) // and before the former one is overwritten
	has(kept, "first")
	must(t, Exchange(path, []byte("third")))
	has(path, "third")
	if got, err := os.ReadFile(kept); err != nil || len(got) != 5 || string(got) == "first" {
		t.Errorf("the former content is %q, %v", got, err)
	}
	if _, err := os.Lstat(former); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a second name stays: %v", err)
	}
	must(t, EndExchange(path))
}
