package inbox

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// exchange swaps two entries of a folder in one step.
func exchange(dir, a, b string) error {
	return unix.Renameat2(unix.AT_FDCWD, filepath.Join(dir, a), unix.AT_FDCWD,
		filepath.Join(dir, b), unix.RENAME_EXCHANGE)
}

// When the inbox makes a sender's folder, another account swaps it with .sealpost. That keeps its
// mode, and the message is not hidden in it.
func TestSwapOfNewSenderFolder(t *testing.T) {
	b := inboxAt(t)
	top := b.cfg.Dir
	entered(t, b).close()
	check(t, os.Chmod(top, 0o770|os.ModeSetgid))
	own, err := os.Lstat(filepath.Join(top, ownDir))
	check(t, err)
	for range 20 {
		var attacker sync.WaitGroup
		stop := make(chan struct{})
		attacker.Go(func() {
			for exchange(top, "FL-LAB", ownDir) != nil {
				select {
				case <-stop:
					return
				default:
				}
			}
		})
		f := entered(t, b)
		list := parcel(t, f, "FL-LAB", "data")
		err := b.placeFiles(t.Context(), f, list)
		close(stop)
		attacker.Wait()
		check(t, ignoreLocal(err))
		now, err := os.Lstat(filepath.Join(top, "FL-LAB"))
		check(t, err)
		if os.SameFile(own, now) {
			if now.Mode() != own.Mode() {
				t.Fatalf("%s was %s and is %s", ownDir, own.Mode(), now.Mode())
			}
			check(t, exchange(top, "FL-LAB", ownDir))
		}
		f.close()
		if _, err := os.Lstat(filepath.Join(top, ownDir, "data")); err == nil {
			t.Fatalf("the message lies in %s", ownDir)
		}
		check(t, errors.Join(b.recover(t.Context(), entered(t, b)),
			os.RemoveAll(filepath.Join(top, "FL-LAB"))))
	}
}
