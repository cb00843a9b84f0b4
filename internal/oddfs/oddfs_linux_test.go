package oddfs

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"

	"sealpost/internal/testkit"
)

// put writes a file on a disk.
func put(t *testing.T, path, text string) string {
	t.Helper()
	testkit.Must(t, os.WriteFile(path, []byte(text), 0o644))
	return path
}

func expect(t *testing.T, path, want string) {
	t.Helper()
	if text, err := os.ReadFile(path); err != nil || string(text) != want {
		t.Errorf("%s: %q, %v", filepath.Base(path), text, err)
	}
}

func TestWithoutHabitsItJustWorks(t *testing.T) {
	d := Mount(t, Habits{})
	at := func(name string) string { return filepath.Join(d.Dir, name) }
	testkit.Must(t, os.MkdirAll(at("a/b"), 0o750))
	put(t, at("a/b/file"), "content")
	expect(t, filepath.Join(d.Back, "a/b/file"), "content")
	testkit.Must(t, os.Rename(at("a/b/file"), at("moved")))
	testkit.Must(t, os.Link(at("moved"), at("second")))
	testkit.Must(t, os.Symlink("moved", at("link")))
	expect(t, at("link"), "content")
	one, err := os.Lstat(at("moved"))
	testkit.Must(t, err)
	two, err := os.Lstat(at("second"))
	testkit.Must(t, err)
	if !os.SameFile(one, two) {
		t.Error("two names of a file are two files")
	}
	f, err := os.OpenFile(at("moved"), os.O_WRONLY|os.O_APPEND, 0)
	testkit.Must(t, err)
	_, err = f.WriteString(" and more")
	testkit.Must(t, errors.Join(err, f.Sync(), f.Close()))
	expect(t, at("second"), "content and more")
	testkit.Must(t, os.Truncate(at("second"), 7))
	expect(t, at("moved"), "content")
	err = renameWith(t, at("other"), at("moved"), unix.RENAME_NOREPLACE)
	if !errors.Is(err, unix.EEXIST) {
		t.Errorf("a rename that must not replace: %v", err)
	}
	testkit.Must(t, os.Chmod(at("moved"), 0o600))
	when := time.Date(1961, 4, 12, 6, 7, 0, 5, time.UTC)
	testkit.Must(t, os.Chtimes(at("moved"), when, when))
	info, err := os.Stat(at("moved"))
	testkit.Must(t, err)
	if info.Mode() != 0o600 || !info.ModTime().Equal(when) || info.Size() != 7 {
		t.Errorf("it has %s, %s, %d bytes", info.Mode(), info.ModTime(), info.Size())
	}
	testkit.Must(t, os.RemoveAll(at("a")))
	testkit.Must(t, os.Remove(at("link")))
	entries, err := os.ReadDir(d.Dir)
	testkit.Must(t, err)
	if len(entries) != 3 {
		t.Errorf("it has %v", entries)
	}
	var s unix.Statfs_t
	testkit.Must(t, unix.Statfs(d.Dir, &s))
	if s.Type != unix.FUSE_SUPER_MAGIC || s.Namelen != 255 {
		t.Errorf("type %x, names of %d bytes", s.Type, s.Namelen)
	}
}

// lease takes a read lease on a file and returns it.
func lease(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_RDLCK); err != nil {
		return err
	}
	_, err = unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_UNLCK)
	return err
}

// renameWith renames a file that it makes, with flags.
func renameWith(t *testing.T, old, new string, flags uint) error {
	t.Helper()
	put(t, old, "")
	return unix.Renameat2(unix.AT_FDCWD, old, unix.AT_FDCWD, new, flags)
}

// Each habit refuses its operation while it lasts, and nothing else.
func TestOperationsAreRefused(t *testing.T) {
	d := Mount(t, Habits{})
	at := func(name string) string { return filepath.Join(d.Dir, name) }
	remove := func(name string) { os.Remove(at(name)) } // it may be missing
	file := put(t, at("file"), "content")
	write := func(name, text string) error { return os.WriteFile(at(name), []byte(text), 0o600) }
	read := func() error { _, err := os.ReadFile(file); return err }
	fault := func(on Op, name string, errno syscall.Errno) Habits {
		return Habits{Faults: []Fault{{on, name, errno}}}
	}
	for _, one := range []struct {
		name   string
		habits Habits
		want   syscall.Errno
		do     func() error
	}{
		{"long names", Habits{NameMax: 143}, unix.ENAMETOOLONG,
			func() error { return write(strings.Repeat("n", 144), "") }},
		{"names beyond ASCII", Habits{ASCII: true}, unix.EINVAL,
			func() error { return write("é", "") }},
		{"times", Habits{NoTimes: true}, unix.EPERM,
			func() error { return os.Chtimes(file, time.Now(), time.Now()) }},
		{"rights", Habits{NoModes: true}, unix.EPERM,
			func() error { return os.Chmod(file, 0o640) }},
		{"hard links", Habits{NoLinks: true}, unix.EPERM,
			func() error { remove("link"); return os.Link(file, at("link")) }},
		{"renames without replacing", Habits{NoFlags: true}, unix.EINVAL, func() error {
			remove("free")
			return renameWith(t, at("old"), at("free"), unix.RENAME_NOREPLACE)
		}},
		{"exchanges", Habits{NoFlags: true}, unix.EINVAL,
			func() error { return renameWith(t, at("one"), file, unix.RENAME_EXCHANGE) }},
		{"leases", Habits{NoLeases: true}, unix.EAGAIN,
			func() error { return lease(file) }},
		{"large files", Habits{MaxFile: 10}, unix.EFBIG,
			func() error { return write("large", "12345678901") }},
		{"writes", fault(Write, "", unix.ENOSPC), unix.ENOSPC,
			func() error { return write("x", "1") }},
		{"new files", fault(Create, "", unix.EDQUOT), unix.EDQUOT,
			func() error { remove("new"); return write("new", "1") }},
		{"new folders", fault(Mkdir, "", unix.EROFS), unix.EROFS,
			func() error { remove("dir"); return os.Mkdir(at("dir"), 0o700) }},
		{"one name", fault(Any, "file", unix.EIO), unix.EIO, read},
		{"reads", fault(Read, "file", unix.EIO), unix.EIO, read},
		{"open files", fault(Open, "", unix.EMFILE), unix.EMFILE, read},
		{"renames", fault(Rename, "", unix.EXDEV), unix.EXDEV,
			func() error { return renameWith(t, at("near"), at("far"), 0) }},
		{"syncs of files", fault(Fsync, "", unix.EIO), unix.EIO,
			func() error { return syncPath(file) }},
		{"syncs of folders", fault(Fsync, "", unix.EIO), unix.EIO,
			func() error { return syncPath(d.Dir) }},
	} {
		d.Set(one.habits)
		if err := one.do(); !errors.Is(err, one.want) {
			t.Errorf("%s: %v", one.name, err)
		}
		if err := write("unharmed", ""); one.habits.Faults == nil && err != nil {
			t.Errorf("%s: another operation: %v", one.name, err)
		}
		d.Set(Habits{})
		if err := one.do(); err != nil {
			t.Errorf("%s, afterwards: %v", one.name, err)
		}
	}
}

func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func TestNames(t *testing.T) {
	d := Mount(t, Habits{FoldCase: true})
	at := func(name string) string { return filepath.Join(d.Dir, name) }
	testkit.Must(t, os.Mkdir(at("Run"), 0o755))
	put(t, at("rUN/Data.csv"), "1")
	expect(t, at("run/DATA.CSV"), "1")
	put(t, at("RUN/data.csv"), "2")
	expect(t, filepath.Join(d.Back, "Run/Data.csv"), "2")
	testkit.Must(t, os.Rename(at("run/data.csv"), at("RUN/other.csv")))
	expect(t, filepath.Join(d.Back, "Run/other.csv"), "2")

	d.Set(Habits{NFD: true})
	put(t, at("caf\u00e9"), "3")
	expect(t, at("cafe\u0301"), "3")
	expect(t, filepath.Join(d.Back, "cafe\u0301"), "3")
}

func TestTimesOfAnotherClock(t *testing.T) {
	d := Mount(t, Habits{Skew: 90 * time.Minute})
	file := put(t, filepath.Join(d.Dir, "file"), "")
	ahead := func() time.Duration {
		t.Helper()
		var st unix.Stat_t
		testkit.Must(t, unix.Stat(file, &st))
		return time.Until(time.Unix(st.Ctim.Unix()))
	}
	if a := ahead(); a < 80*time.Minute || a > 90*time.Minute {
		t.Errorf("the server is %s ahead", a)
	}
	for range 2 { // a time that is set is no time of the server's clock
		when := time.Date(2020, 1, 2, 3, 4, 5, 6, time.UTC)
		testkit.Must(t, os.Chtimes(file, when, when))
		if info, err := os.Stat(file); err != nil || !info.ModTime().Equal(when) {
			t.Errorf("set to %s: %s, %v", when, info.ModTime(), err)
		}
		d.Set(Habits{Skew: -time.Hour})
	}
	d.Set(Habits{Granularity: 2 * time.Second})
	testkit.Must(t, os.Chtimes(file, time.Time{}, time.Unix(1_800_000_001, 999)))
	if info, err := os.Stat(file); err != nil || info.ModTime().UnixNano() != 1_800_000_000e9 {
		t.Errorf("cut to two seconds: %s, %v", info.ModTime(), err)
	}
}

// A file that another machine writes grows without a notification.
func TestAnotherMachineWrites(t *testing.T) {
	d := Mount(t, Habits{})
	w, err := fsnotify.NewWatcher()
	testkit.Must(t, err)
	defer w.Close()
	testkit.Must(t, w.Add(d.Dir))
	for _, text := range []string{"1", "1 and 2", "3"} {
		put(t, filepath.Join(d.Back, "theirs"), text)
		expect(t, filepath.Join(d.Dir, "theirs"), text)
	}
	if err := lease(filepath.Join(d.Dir, "theirs")); err != nil {
		t.Errorf("the kernel knows no writer: %v", err)
	}
	put(t, filepath.Join(d.Dir, "ours"), "")
	if e := <-w.Events; filepath.Base(e.Name) != "ours" {
		t.Errorf("told of %s", e)
	}
}

func TestAHangIsLifted(t *testing.T) {
	d := Mount(t, Habits{})
	file := put(t, filepath.Join(d.Dir, "file"), "content")
	d.Hang(Read)
	done := make(chan error)
	go func() {
		_, err := os.ReadFile(file)
		done <- err
	}()
	if _, err := os.Stat(file); err != nil { // other operations go on
		t.Error(err)
	}
	select {
	case err := <-done:
		t.Errorf("it did not hang: %v", err)
	default:
	}
	d.Heal()
	testkit.Must(t, <-done)
}

// waits starts a process that reads a file in a disk, and returns once it hangs there.
func waits(t *testing.T, d *Disk) *exec.Cmd {
	t.Helper()
	file := put(t, filepath.Join(d.Dir, "file"), "content")
	d.Hang(Read)
	cat := exec.Command("cat", file)
	testkit.Must(t, cat.Start())
	testkit.Eventually(t, "it hangs", func() bool {
		stack, err := os.ReadFile(fmt.Sprintf("/proc/%d/syscall", cat.Process.Pid))
		return err == nil && strings.HasPrefix(string(stack), fmt.Sprint(unix.SYS_READ)+" 0x3 ")
	})
	return cat
}

func TestAKilledProcessGetsOut(t *testing.T) {
	d := Mount(t, Habits{})
	cat := waits(t, d)
	testkit.Must(t, cat.Process.Signal(syscall.SIGURG)) // one that changes nothing comes first
	testkit.Must(t, cat.Process.Kill())
	cat.Wait() //nolint:errcheck // it is killed
}

func TestNothingStaysMounted(t *testing.T) {
	var cat *exec.Cmd
	var dir string
	t.Run("a test ends while a call hangs", func(t *testing.T) {
		d := Mount(t, Habits{})
		cat, dir = waits(t, d), d.Dir
	})
	if err := cat.Wait(); err == nil {
		t.Error("the call came to a good end")
	}
	expectUnmounted(t, dir)
}

func expectUnmounted(t *testing.T, dir string) {
	t.Helper()
	testkit.Eventually(t, "it is unmounted", func() bool {
		mounts, err := os.ReadFile("/proc/self/mounts")
		testkit.Must(t, err)
		return !slices.ContainsFunc(strings.Split(string(mounts), "\n"), func(line string) bool {
			return strings.Contains(line, " "+dir+" ")
		})
	})
}

// asCrash has this test crash while a call hangs. It says first where its disk is mounted.
const asCrash = "ODDFS_CRASHES"

func TestATestThatCrashes(t *testing.T) {
	if os.Getenv(asCrash) != "" {
		d := Mount(t, Habits{NoLeases: true})
		f, err := os.Open(put(t, filepath.Join(d.Dir, "held"), ""))
		testkit.Must(t, err)
		waits(t, d)
		fmt.Println("mounted:", d.Dir, f.Name())
		testkit.Must(t, unix.Kill(os.Getpid(), unix.SIGKILL))
	}
	crash := exec.Command(os.Args[0], "-test.run=^TestATestThatCrashes$")
	crash.Env = append(os.Environ(), asCrash+"=1", "TMPDIR="+t.TempDir())
	out, err := crash.StdoutPipe()
	testkit.Must(t, err)
	testkit.Must(t, crash.Start())
	lines := bufio.NewScanner(out)
	dir := ""
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), "mounted: "); ok {
			dir, _, _ = strings.Cut(rest, " ")
		} else if strings.Contains(lines.Text(), "SKIP") {
			t.Skip(lines.Text())
		}
	}
	if err := crash.Wait(); err == nil || dir == "" {
		t.Fatalf("it did not crash with a disk: %v", err)
	}
	expectUnmounted(t, dir)
}
