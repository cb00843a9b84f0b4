package report

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Another account swaps the status file, and the folder itself, for links and back, as quickly as
// it can. Nothing outside is written or removed.
func TestSwapsInATray(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root makes links that belong to another account")
	}
	const other = 65534
	top := t.TempDir()
	at := func(name ...string) string { return filepath.Join(append([]string{top}, name...)...) }
	for _, dir := range []string{"tray", "outside"} {
		must(t, os.Mkdir(at(dir), 0o777))
	}
	for _, name := range names {
		must(t, os.WriteFile(at("outside", name), []byte(title("FL-LAB").String()+"\r\nkeep me"),
			0o644))
	}
	held := func(dir string) int {
		fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
		must(t, err)
		t.Cleanup(func() { must(t, unix.Close(fd)) })
		return fd
	}
	type swap struct {
		dir  int // open: a path would lead outside, too
		a, b string
	}
	swaps := []swap{{held(top), "tray", "link"}}
	must(t, os.Symlink(at("outside"), at("link")))
	must(t, os.Lchown(at("link"), other, other))
	for i, name := range names {
		link := fmt.Sprint("link", i)
		must(t, os.Symlink(at("outside", name), at("tray", link)))
		must(t, os.Lchown(at("tray", link), other, other))
		swaps = append(swaps, swap{held(at("tray")), name, link})
	}
	stop := make(chan struct{})
	var attackers sync.WaitGroup
	for _, s := range swaps {
		attackers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					//nolint:errcheck // the next one may work
					unix.Renameat2(s.dir, s.a, s.dir, s.b, unix.RENAME_EXCHANGE)
				}
			}
		})
	}
	f := keepIn(t, at("tray")).file
	r := New(Options{Site: "FL-LAB"})
	written := 0
	for range 5000 {
		if f.write("text", time.Now()) == nil {
			written++
		}
		r.lastWord(at("tray"), time.Now()) //nolint:errcheck // it may fail
	}
	close(stop)
	attackers.Wait()
	if written == 0 {
		t.Error("nothing was written")
	}
	for _, name := range names {
		expectText(t, at("outside", name), title("FL-LAB").String()+"\r\nkeep me")
	}
	if entries, err := os.ReadDir(at("outside")); err != nil || len(entries) != len(names) {
		t.Errorf("outside lie %v, %v", entries, err)
	}
}
