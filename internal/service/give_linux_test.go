package service

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// owners returns the owners of a folder's entries, of links themselves.
func (s *site) owners(folder string, names ...string) (list []string) {
	s.t.Helper()
	for _, name := range names {
		var st unix.Stat_t
		s.must(unix.Lstat(filepath.Join(folder, name), &st))
		list = append(list, fmt.Sprintf("%s %d:%d", name, st.Uid, st.Gid))
	}
	return list
}

// givenNames returns names as owners does, for entries of the service and its group.
func givenNames(names ...string) (list []string) {
	for _, name := range names {
		list = append(list, fmt.Sprintf("%s %d:%d", name, serviceID, peopleID))
	}
	return list
}

func TestTheStateIsGivenAndNothingBesideIt(t *testing.T) {
	s := newSite(t)
	in := func(name string) string { return filepath.Join(s.State, name) }
	s.mkdir(in("sealed"), in("sealed/deep"))
	s.write(in("identity.key"))
	s.write(in("sealed/deep/x"))
	s.write(in("of ann"))
	s.give(in("of ann"), annID)
	s.must(unix.Mkfifo(in("pipe"), 0o600))
	s.link(s.bait, in("link to a folder"), 0)
	s.link(filepath.Join(s.bait, "file"), in("sealed/link to a file"), annID)
	s.must(os.Link(filepath.Join(s.bait, "file"), in("second\nname")))
	s.write(in("own"))
	s.give(in("own"), serviceID)
	s.must(os.Link(in("own"), in("own again")))
	s.must(unix.Mknod(in("device"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))))
	bait := s.look(s.bait)
	for range 2 {
		left := setUp(s.Installation)
		slices.Sort(left)
		want := []string{
			"ls -l DIR/state/device   # is left to its owner: it is a device",
			`ls -li $'DIR/state/second\nname'   # is left to its owner: ` +
				"the same file has 2 names, and not all need lie here; ",
		}
		if len(left) != 2 || s.short(left[0]) != want[0] ||
			!strings.HasPrefix(s.short(left[1]), want[1]) {
			t.Errorf("left for a person: %q", left)
		}
		names := []string{".", "sealed", "sealed/deep", "identity.key", "sealed/deep/x", "of ann",
			"pipe", "link to a folder", "sealed/link to a file", "own", "own again"}
		if got, want := s.owners(s.State, names...), givenNames(names...); !slices.Equal(got,
			want) {
			t.Errorf("got %q\nwant %q", got, want)
		}
		s.unchanged(s.bait, bait)
	}
	// Once it has no other name it is given.
	s.must(os.Remove(filepath.Join(s.bait, "file")))
	s.must(os.Remove(in("device")))
	if left := setUp(s.Installation); len(left) > 0 ||
		!slices.Equal(s.owners(s.State, "second\nname"), givenNames("second\nname")) {
		t.Errorf("left for a person: %q", left)
	}
}

func TestManyThatAreLeftAreCounted(t *testing.T) {
	s := newSite(t)
	for n := range mostLeft + 3 {
		s.must(os.Link(filepath.Join(s.bait, "file"),
			filepath.Join(s.State, fmt.Sprintf("name %d", n))))
	}
	if left := setUp(s.Installation); len(left) != mostLeft+1 ||
		left[mostLeft] != "# 3 more are left to their owners" {
		t.Errorf("left for a person: %q", left)
	}
}

func TestNothingIsGivenThatLiesTooDeep(t *testing.T) {
	s := newSite(t)
	deep := s.State
	for range deepest + 10 {
		deep = filepath.Join(deep, "d")
		s.mkdir(deep)
	}
	left := strings.Join(setUp(s.Installation), "\n")
	if !strings.Contains(left, "d/d   # is left as it is: it lies deeper than anything of "+
		"sealpost's") {
		t.Errorf("left for a person: %q", left)
	}
	if got := s.owners(deep, "."); !slices.Equal(got, []string{". 0:0"}) {
		t.Errorf("what lies too deep is %q", got)
	}
}

// A mount in the state may belong to any account, even on the same file system.
func TestNothingMountedInTheStateIsGiven(t *testing.T) {
	s := newSite(t)
	// and never unlock it: the thread ends with the test, and so do its mounts
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		t.Skipf("SKIPPED: no mounts of our own: %v", err)
	}
	s.must(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	spool, file := filepath.Join(s.State, "spool"), filepath.Join(s.State, "file")
	s.mkdir(spool)
	s.write(file)
	s.must(unix.Mount(s.bait, spool, "", unix.MS_BIND, ""))
	s.must(unix.Mount(filepath.Join(s.bait, "file"), file, "", unix.MS_BIND, ""))
	bait := s.look(s.bait)
	left := setUp(s.Installation)
	slices.Sort(left)
	const why = "   # is left as it is: another file system is mounted there; run this only if " +
		"it is the service's own"
	if want := []string{"chown -hR 61001:61002 DIR/state/file" + why,
		"chown -hR 61001:61002 DIR/state/spool" + why}; s.short(strings.Join(left,
		"\n")) != strings.Join(want, "\n") {
		t.Errorf("left for a person: %q", left)
	}
	s.unchanged(s.bait, bait)
	// A state that is a mount itself is the service's.
	s.must(unix.Unmount(spool, 0))
	s.must(unix.Unmount(file, 0))
	s.must(unix.Mount(s.State, s.State, "", unix.MS_BIND, ""))
	if left := setUp(s.Installation); len(left) > 0 || !slices.Equal(s.owners(s.State, "file"),
		givenNames("file")) {
		t.Errorf("left for a person: %q", left)
	}
	s.must(unix.Unmount(s.State, 0))
}
