package inbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sealpost/internal/id"
)

// bait is a folder outside of the inbox that no test may change.
func bait(t *testing.T) (outside string, untouched func()) {
	t.Helper()
	outside = t.TempDir()
	write(t, filepath.Join(outside, "secret"), []byte("secret"))
	check(t, os.Mkdir(filepath.Join(outside, tempName), 0o700))
	return outside, func() {
		t.Helper()
		holds(t, filepath.Join(outside, "secret"), "secret")
		for dir, want := range map[string]int{outside: 2, filepath.Join(outside, tempName): 0} {
			if entries, err := os.ReadDir(dir); err != nil || len(entries) != want {
				t.Errorf("%s holds %v, %v", dir, entries, err)
			}
		}
	}
}

// inTheWay returns functions that put an attacker's entry in the place of a folder.
func inTheWay(t *testing.T, outside string) map[string]func(t *testing.T, path string) {
	ways := map[string]func(t *testing.T, path string){
		"a link": func(t *testing.T, path string) { check(t, os.Symlink(outside, path)) },
		"a dangling link": func(t *testing.T, path string) {
			check(t, os.Symlink(outside+"/new", path))
		},
		"a file": func(t *testing.T, path string) { write(t, path, []byte("x")) },
		"a pipe": func(t *testing.T, path string) { check(t, unix.Mkfifo(path, 0o666)) },
		"a folder that others may change": func(t *testing.T, path string) {
			check(t, errors.Join(os.Mkdir(path, 0o777), os.Chmod(path, 0o777),
				os.Mkdir(filepath.Join(path, tempName), 0o700)))
		},
	}
	if os.Geteuid() == 0 {
		ways["another account's folder"] = func(t *testing.T, path string) {
			check(t, errors.Join(os.MkdirAll(filepath.Join(path, tempName), 0o700),
				os.Chown(path, 65534, 65534)))
		}
	}
	return ways
}

// An entry in the place of an own folder is never used, and never stops the inbox.
func TestEntryInPlaceOfOwnFolder(t *testing.T) {
	outside, untouched := bait(t)
	for _, own := range []string{ownDir, tempDir} {
		for name, put := range inTheWay(t, outside) {
			t.Run(own+" is "+name, func(t *testing.T) {
				b := inboxAt(t)
				for _, before := range []bool{true, false} { // at the start, and later
					path := filepath.Join(b.cfg.Dir, own)
					check(t, os.MkdirAll(filepath.Dir(path), 0o700))
					if !before {
						check(t, os.Rename(path, path+".hidden"))
					}
					put(t, path)
					f := entered(t, b)
					list := parcel(t, f, "FL-LAB", fmt.Sprint("data ", before))
					check(t, b.placeFiles(t.Context(), f, list))
					holds(t, filepath.Join(b.cfg.Dir, list[0].Path), list[0].Name)
					holds(t, filepath.Join(b.records("FL-LAB"), list[0].recorded),
						string(list[0].text))
				}
				if kept, err := filepath.Glob(filepath.Join(b.cfg.Dir,
					own+asideInfix+"*")); err != nil || len(kept) != 2 {
					t.Errorf("set aside: %v, %v", kept, err)
				}
				untouched()
			})
		}
	}
}

// A link or file in the place of a sender's folder is not followed. Only that sender's messages
// wait.
func TestEntryInPlaceOfSenderFolder(t *testing.T) {
	outside, untouched := bait(t)
	for name, put := range inTheWay(t, outside) {
		if strings.Contains(name, "folder") {
			continue // is one
		}
		t.Run(name, func(t *testing.T) {
			b := inboxAt(t)
			f := entered(t, b)
			path := filepath.Join(b.cfg.Dir, "FL-LAB")
			put(t, path)
			bad, good := parcel(t, f, "FL-LAB", "bad"), parcel(t, f, "MA-LAB", "good")
			check(t, b.placeFiles(t.Context(), f, append(bad, good...)))
			holds(t, filepath.Join(b.cfg.Dir, "MA-LAB", "good"), "good")
			if err := f.failed["FL-LAB"]; err == nil || ignoreLocal(err) != nil ||
				f.failed["MA-LAB"] != nil {
				t.Errorf("failed: %v", f.failed)
			}
			untouched()
			check(t, os.Remove(path))
			f = entered(t, b)
			check(t, b.placeFiles(t.Context(), f, bad))
			holds(t, filepath.Join(path, "bad"), "bad")
		})
	}
}

// A crash has left half placed messages of two senders, one with an unusable folder. Its content is
// kept until the folder is usable.
func TestRecoveryGoesOnWithoutASender(t *testing.T) {
	outside, untouched := bait(t)
	b := inboxAt(t)
	f := entered(t, b)
	bad, good := parcel(t, f, "FL-LAB", "bad", "bad too"), parcel(t, f, "MA-LAB", "good")
	list := append(bad, good...)
	for _, p := range list {
		check(t, errors.Join(f.chooseName(p, map[string]bool{}, 0), p.makeRecord()))
	}
	check(t, errors.Join(f.writeLists(list), f.syncContent(list), b.writeRows(t.Context(), list)))
	check(t, os.Rename(filepath.Join(b.temp(), bad[1].from, bad[1].item),
		filepath.Join(b.cfg.Dir, bad[1].Path)))
	check(t, os.Rename(filepath.Join(b.cfg.Dir, "FL-LAB"), filepath.Join(b.cfg.Dir, "hidden")))
	check(t, os.Symlink(outside, filepath.Join(b.cfg.Dir, "FL-LAB")))
	left := filepath.Join(b.temp(), "left by another attempt")
	write(t, filepath.Join(left, "0"), nil)

	check(t, b.recover(t.Context(), entered(t, b)))
	holds(t, filepath.Join(b.cfg.Dir, "MA-LAB", "good"), "good")
	holds(t, filepath.Join(b.temp(), bad[0].from, bad[0].item), "bad")
	if _, err := os.Lstat(left); err == nil {
		t.Error("what another attempt has left is not removed")
	}
	untouched()

	check(t, os.Remove(filepath.Join(b.cfg.Dir, "FL-LAB")))
	check(t, os.Rename(filepath.Join(b.cfg.Dir, "hidden"), filepath.Join(b.cfg.Dir, "FL-LAB")))
	d := &delivery{}
	d.Sender = "FL-LAB"
	for _, p := range bad {
		d.Messages = append(d.Messages, messageOf(p))
	}
	check(t, b.resumePlacing(t.Context(), entered(t, b), d))
	for _, p := range list {
		holds(t, filepath.Join(b.cfg.Dir, p.Path), p.Name)
		if records, err := filepath.Glob(filepath.Join(b.records(string(p.Sender)),
			string(p.ID)+"*")); err != nil || len(records) != 1 {
			t.Errorf("records of %s: %v, %v", p.Name, records, err)
		}
	}
	if entries, err := os.ReadDir(b.temp()); err != nil || len(entries) != 0 {
		t.Errorf("left: %v, %v", entries, err)
	}
}

// Another account swaps the folders of the inbox with its own entries and back, as fast as
// possible. Every message still arrives once, in the inbox, and no entry outside is read, written
// or removed.
func TestSwapsWhileMessagesArePlaced(t *testing.T) {
	enough := 500 // messages that arrive under attack
	if testing.Short() {
		enough = 50
	}
	outside, untouched := bait(t)
	b := inboxAt(t)
	top := b.cfg.Dir
	entered(t, b).close()
	puts := []func(path string){
		func(path string) { os.Symlink(outside, path) },      //nolint:errcheck // may exist
		func(path string) { os.WriteFile(path, nil, 0o666) }, //nolint:errcheck // may exist
		func(path string) {
			os.Mkdir(path, 0o777) //nolint:errcheck // may exist
			os.Chmod(path, 0o777) //nolint:errcheck // may be swapped
		},
	}
	stop := make(chan struct{})
	var attackers sync.WaitGroup
	for _, victim := range []string{ownDir, "FL-LAB"} {
		attackers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				other := fmt.Sprint(".", victim, i%3)
				puts[i%3](filepath.Join(top, other))
				for range 2 { // there and back
					//nolint:errcheck // the next one may succeed
					unix.Renameat2(unix.AT_FDCWD, filepath.Join(top, victim), unix.AT_FDCWD,
						filepath.Join(top, other), unix.RENAME_EXCHANGE)
				}
				if i%8 == 0 {
					time.Sleep(time.Millisecond) // so that some arrive
				}
			}
		})
	}
	var sent []*placement
	rounds, arrive := 0, 0
	for deadline := time.Now().Add(2 * time.Minute); arrive < enough &&
		time.Now().Before(deadline); rounds++ {
		f, err := b.enter(t.Context())
		if err != nil {
			continue // it waits
		}
		list, err := tryParcel(f, "FL-LAB", fmt.Sprint(rounds, "a"), fmt.Sprint(rounds, "b"))
		if err == nil {
			check(t, ignoreLocal(b.placeFiles(t.Context(), f, list)))
			sent = append(sent, list...)
			if f.failure("FL-LAB", list[0].Envelope) == nil {
				arrive += len(list)
			}
		}
		f.close()
	}
	close(stop)
	attackers.Wait()
	untouched()
	if path := filepath.Join(top, "FL-LAB"); !isFolder(path) {
		check(t, os.RemoveAll(path))
	}
	expectHome(t, restart(b, top)) // it ends half placed messages
	untouched()
	found := map[string]int{}
	check(t, filepath.WalkDir(top, func(path string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || strings.Contains(strings.TrimPrefix(path, top),
			"/"+tempName+"/") {
			return err
		}
		text, err := os.ReadFile(path)
		if err == nil && filepath.Ext(path) == "" && len(text) > 0 &&
			string(text) != filepath.Base(path) {
			t.Errorf("%s holds %q", path, text)
		}
		found[string(text)]++
		return err
	}))
	arrived := 0
	for _, p := range sent {
		rows, err := b.rowsOf(t.Context(), p.Sender, []id.UID{p.UID})
		check(t, err)
		if len(rows) == 0 {
			continue // it failed before it was placed, and comes again
		}
		if arrived++; !rows[0].Placed || found[p.Name] != 1 {
			t.Errorf("%s lies %d times in the inbox; it is placed: %v", p.Name, found[p.Name],
				rows[0].Placed)
		}
	}
	t.Logf("%d of %d messages in %d rounds", arrived, len(sent), rounds)
	if arrived < enough {
		t.Errorf("only %d messages arrived", arrived)
	}
}

func isFolder(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.IsDir()
}
