package report

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// mounted mounts a file system for a test.
func mounted(t *testing.T, kind, options string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "disk")
	must(t, os.Mkdir(dir, 0o755))
	if err := unix.Mount(kind, dir, kind, 0, options); err != nil {
		t.Skipf("SKIPPED: only root mounts a %s: %v", kind, err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// On a full disk the old file stays as it was, and explains its own age. The failure is logged
// once, though each try has another temporary name.
func TestAFullDisk(t *testing.T) {
	k := keepIn(t, mounted(t, "tmpfs", "size=64k"))
	k.tell()
	k.expect("STATUS.txt")
	filler, err := os.Create(filepath.Join(k.dir, "filler"))
	must(t, err)
	for _, err = io.CopyN(filler, zeros{}, 1<<20); err == nil; {
		_, err = io.CopyN(filler, zeros{}, 1<<20)
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	must(t, filler.Close())
	k.n = 1
	for range 3 {
		k.tell()
	}
	k.n = 1
	k.expect("STATUS.txt")
	text, err := os.ReadFile(filepath.Join(k.dir, "STATUS.txt"))
	if err != nil || !strings.Contains(string(text),
		"more than 15 minutes ago, the agent is not running, or it cannot write here (this "+
			"disk is full") {
		t.Errorf("it says %q, %v", text, err)
	}
	if n := strings.Count(k.logs.String(), "no space left"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, k.logs)
	}
	must(t, os.Remove(filler.Name()))
	k.n = 5
	k.tell()
	k.expect("STATUS.txt")
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// While one disk hangs, the files on the others are kept.
func TestADiskThatHangs(t *testing.T) {
	device, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("SKIPPED: a disk that hangs needs root and /dev/fuse: %v", err)
	}
	// A file system in user space, of which no program answers.
	hung := mounted(t, "fuse", fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0",
		device.Fd()))
	site := t.TempDir()
	l := &lab{t: t, dir: site, now: Snapshot{Connected: true, Hub: "DC-HQ"}}
	r := &Reporter{o: Options{Site: "FL-LAB"}}
	hanging, well := keepIn(t, hung), keepIn(t, site)
	r.files = []*file{hanging.file, well.file}
	var keepers sync.WaitGroup
	for _, f := range r.files {
		keepers.Go(f.keep)
	}
	for i := range 3 {
		l.now.Hub = fmt.Sprint("HUB-", i)
		r.offer(l.now)
		deadline := time.Now().Add(time.Minute)
		for text := ""; !strings.Contains(text, l.now.Hub); {
			if time.Now().After(deadline) {
				t.Fatalf("the other file says %q", text)
			}
			time.Sleep(time.Millisecond)
			read, err := os.ReadFile(filepath.Join(site, "STATUS.txt"))
			if err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
			text = string(read)
		}
	}
	if len(hanging.next) != 1 {
		t.Error("the disk did not hang")
	}
	must(t, device.Close()) // now every request fails
	for _, f := range r.files {
		close(f.next)
	}
	keepers.Wait()
	if !strings.Contains(hanging.logs.String(), "cannot be written") {
		t.Errorf("logged:\n%s", hanging.logs)
	}
}
