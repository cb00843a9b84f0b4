package beneath

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// bait is a folder outside, and a link to it below a held folder.
func bait(t *testing.T) (d *Dir, path, outside string) {
	t.Helper()
	d, path = held(t)
	outside = filepath.Join(filepath.Dir(path), "outside")
	write(t, filepath.Join(outside, "secret"), "secret")
	check(t, os.Symlink(outside, filepath.Join(path, "link")))
	check(t, os.Symlink(filepath.Join(outside, "secret"), filepath.Join(path, "file")))
	check(t, os.Symlink(filepath.Join(outside, "new"), filepath.Join(path, "dangling")))
	return d, path, outside
}

func untouched(t *testing.T, outside string) {
	t.Helper()
	expect(t, filepath.Join(outside, "secret"), "secret")
	if entries, err := os.ReadDir(outside); err != nil || len(entries) != 1 {
		t.Errorf("outside lie %v, %v", entries, err)
	}
}

// A link is never followed: neither at the end of a name nor on the way, and not back inside.
func TestLinksAreNotFollowed(t *testing.T) {
	d, path, outside := bait(t)
	write(t, filepath.Join(path, "real", "secret"), "inside")
	check(t, os.Symlink("real", filepath.Join(path, "within")))
	for _, name := range []string{"link/secret", "link/new", "within/secret", "within/new"} {
		for op, do := range operations(d, name) {
			if err := do(); !errors.Is(err, ErrLink) {
				t.Errorf("%s %s: %v", op, name, err)
			}
		}
	}
	for _, name := range []string{"file", "link", "within", "dangling"} {
		ops := operations(d, name)
		for _, op := range []string{"Dir", "Open", "ReadFile", "Writer", "Append", "SyncFile"} {
			if err := ops[op](); !errors.Is(err, ErrLink) {
				t.Errorf("%s %s: %v", op, name, err)
			}
		}
		for _, op := range []string{"Create", "Mkdir"} {
			if err := ops[op](); !errors.Is(err, fs.ErrExist) {
				t.Errorf("%s %s: %v", op, name, err)
			}
		}
		if err := d.MkdirAll(name, 0o777); !errors.Is(err, ErrLink) {
			t.Errorf("MkdirAll %s: %v", name, err)
		}
		if info, err := d.Lstat(name); err != nil || info.Mode&fs.ModeSymlink == 0 {
			t.Errorf("%s: %+v, %v", name, info, err)
		}
		check(t, d.Chtimes(name, time.Unix(1, 0)))
	}
	if info, err := os.Stat(filepath.Join(outside, "secret")); err != nil ||
		info.ModTime().Unix() == 1 {
		t.Errorf("the time behind a link was set: %v", err)
	}
	check(t, d.WriteFile("dangling", []byte("ours"), 0o600))
	check(t, d.WriteFile("file", []byte("ours"), 0o600))
	expect(t, filepath.Join(path, "file"), "ours")
	check(t, errors.Join(d.RemoveAll("link"), d.RemoveAll("within")))
	expect(t, filepath.Join(path, "real", "secret"), "inside")
	untouched(t, outside)
}

// A pipe, a socket or a device is no file: nothing waits at it, nothing is read from it.
func TestOnlyFilesAreOpened(t *testing.T) {
	d, path := held(t)
	check(t, unix.Mkfifo(filepath.Join(path, "pipe"), 0o666))
	check(t, os.Mkdir(filepath.Join(path, "folder"), 0o777))
	names := []string{"pipe", "folder"}
	if err := unix.Mknod(filepath.Join(path, "zero"), unix.S_IFCHR|0o666,
		int(unix.Mkdev(1, 5))); err == nil {
		names = append(names, "zero")
	}
	for _, name := range names {
		if _, _, err := d.Open(name); !errors.Is(err, ErrNotRegular) {
			t.Errorf("%s: %v", name, err)
		}
		if err := d.SyncFile(name); !errors.Is(err, ErrNotRegular) {
			t.Errorf("sync %s: %v", name, err)
		}
	}
}

// A bind mount on a folder is distinguished from the folder, also of the same file system.
func TestMountsAreTold(t *testing.T) {
	d, path, outside := bait(t)
	for _, name := range []string{"bound", "plain"} {
		check(t, os.Mkdir(filepath.Join(path, name), 0o777))
	}
	if err := unix.Mount(outside, filepath.Join(path, "bound"), "", unix.MS_BIND, ""); err != nil {
		t.Skipf("SKIPPED: mounting needs root: %v", err)
	}
	//nolint:errcheck // the folder is a temporary one
	defer unix.Unmount(filepath.Join(path, "bound"), unix.MNT_DETACH)
	if _, err := d.DirSameMount("bound"); !errors.Is(err, ErrMount) {
		t.Errorf("a mount: %v", err)
	}
	sub, err := d.DirSameMount("plain")
	check(t, err)
	sub.Close()
}

// An open folder stays the same after a move; a new one of its name is another.
func TestAHeldFolderIsNoPath(t *testing.T) {
	d, path := held(t)
	check(t, os.Rename(path, path+"-moved"))
	write(t, filepath.Join(path, "file"), "another's")
	if d.Exists("file") {
		t.Error("the folder that took its name is looked into")
	}
	check(t, d.WriteFile("file", []byte("ours"), 0o600))
	expect(t, filepath.Join(path, "file"), "another's")
	expect(t, filepath.Join(path+"-moved", "file"), "ours")
}

// Links on the way to a configured folder are an admin's, or this account's own.
func TestLinksOnTheWay(t *testing.T) {
	_, path := held(t)
	top := filepath.Dir(path)
	write(t, filepath.Join(path, "in", "x"), "x")
	check(t, os.Symlink("held", filepath.Join(top, "relative")))
	check(t, os.Symlink(path, filepath.Join(top, "absolute")))
	check(t, os.Symlink("../"+filepath.Base(top)+"/absolute/in", filepath.Join(top, "chain")))
	check(t, os.Symlink("loop", filepath.Join(top, "loop")))
	for _, name := range []string{"relative/in", "absolute/in", "chain"} {
		d, err := Open(filepath.Join(top, name))
		check(t, err)
		expect(t, filepath.Join(top, name, "x"), "x")
		if !d.Exists("x") {
			t.Errorf("%s leads elsewhere", name)
		}
		d.Close()
	}
	if _, err := Open(filepath.Join(top, "loop")); !errors.Is(err, unix.ELOOP) {
		t.Errorf("a loop: %v", err)
	}
	if _, err := Open(filepath.Join(path, "in", "x")); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("a file: %v", err)
	}
	if _, err := Open(filepath.Join(path, "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root may make a link that belongs to another account")
	}
	check(t, os.Lchown(filepath.Join(top, "absolute"), 65534, 65534))
	for _, name := range []string{"absolute", "absolute/in", "chain"} {
		if _, err := Open(filepath.Join(top, name)); !errors.Is(err, ErrLink) {
			t.Errorf("another account's link at %s: %v", name, err)
		}
	}
}

// A link of root's is followed only where no other account can have moved it to.
func TestALinkThatAnotherAccountCouldMove(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root gives a folder to another account")
	}
	_, path := held(t)
	at := filepath.Join(filepath.Dir(path), "folder")
	check(t, errors.Join(os.Mkdir(at, 0o755), os.Symlink(path, filepath.Join(at, "link"))))
	for _, c := range []struct {
		owner    int
		mode     fs.FileMode
		followed bool
	}{
		{0, 0o755, true},
		{0, 0o777 | fs.ModeSticky, true}, // as of /tmp: all keep to their own entries
		{0, 0o775, true},                 // of root's own group
		{0, 0o770 | fs.ModeSetgid, false},
		{0, 0o777, false},
		{65534, 0o755, false},
		{65534, 0o755 | fs.ModeSticky, false}, // which binds all but its owner
	} {
		check(t, errors.Join(os.Chown(at, c.owner, -1), os.Chmod(at, c.mode)))
		d, err := Open(filepath.Join(at, "link"))
		if (err == nil) != c.followed || err != nil && !errors.Is(err, ErrLink) {
			t.Errorf("in a folder of %d with the mode %v: %v", c.owner, c.mode, err)
		}
		if err == nil {
			d.Close()
		}
	}
}

// While names are swapped for links and back, nothing outside is read, written, moved or removed.
func TestSwaps(t *testing.T) {
	rounds := 3000
	if testing.Short() {
		rounds = 300
	}
	d, path, outside := bait(t)
	write(t, filepath.Join(path, "folder", "secret"), "inside")
	write(t, filepath.Join(path, "plain"), "inside")
	stop := make(chan struct{})
	var attackers sync.WaitGroup
	for _, pair := range [][2]string{{"folder", "link"}, {"plain", "file"}} {
		attackers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					//nolint:errcheck // the next one may work
					unix.Renameat2(unix.AT_FDCWD, filepath.Join(path, pair[0]),
						unix.AT_FDCWD, filepath.Join(path, pair[1]), unix.RENAME_EXCHANGE)
				}
			}
		})
	}
	for i := range rounds {
		for _, name := range []string{"folder/secret", "plain"} {
			if text, err := d.ReadFile(name, 100); err == nil && string(text) != "inside" {
				t.Fatalf("read %q", text)
			}
			d.SyncFile(name)                 //nolint:errcheck // it may fail
			d.Chtimes(name, time.Unix(1, 0)) //nolint:errcheck // it may fail
		}
		name := fmt.Sprintf("folder/new%d", i)
		if f, err := d.Create(name, 0o666); err == nil {
			f.Close()
		}
		d.MkdirAll(name+"d/e", 0o777)                       //nolint:errcheck // it may fail
		d.WriteFile("folder/note", []byte("note"), 0o666)   //nolint:errcheck // it may fail
		d.RenameNoReplace("folder/note", d, "folder/note2") //nolint:errcheck // it may fail
		d.Remove("folder/note2")                            //nolint:errcheck // it may fail
		d.Rename(name, d, fmt.Sprintf("folder/moved%d", i)) //nolint:errcheck // it may fail
		d.RemoveAll(name + "d")                             //nolint:errcheck // it may fail
		d.RemoveAll(fmt.Sprintf("folder/moved%d", i))       //nolint:errcheck // it may fail
	}
	close(stop)
	attackers.Wait()
	untouched(t, outside)
	if info, err := os.Stat(filepath.Join(outside, "secret")); err != nil ||
		info.ModTime().Unix() == 1 {
		t.Errorf("the time behind a link was set: %v", err)
	}
}

// Handle uses the open folder, even if its name leads to another one.
func TestHandleIsOfTheFolderItself(t *testing.T) {
	d, path, outside := bait(t)
	check(t, os.Rename(path, path+"-moved"))
	check(t, os.Symlink(outside, path))
	check(t, d.Handle(func(f *os.File) error { return f.Chmod(0o710) }))
	if info, err := d.Info(); err != nil || info.Mode.Perm() != 0o710 ||
		info.Group != uint32(os.Getegid()) {
		t.Errorf("%+v, %v", info, err)
	}
	if info, err := os.Stat(outside); err != nil || info.Mode().Perm() == 0o710 {
		t.Errorf("another folder was changed: %v", err)
	}
}
