//go:build unix

package way

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Accounts and groups that this machine does not have.
const (
	serviceID = 61001
	peopleID  = 61002
	annID     = 61003
)

// tree makes DIR/a/b/c for this account alone, and returns DIR.
func tree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, folder := range []string{dir, filepath.Join(dir, "a"), filepath.Join(dir, "a", "b"),
		filepath.Join(dir, "a", "b", "c")} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(folder, 0o755); err != nil { // whatever the umask
			t.Fatal(err)
		}
	}
	return dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func onlyRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root may give folders away")
	}
}

// above judges the way to DIR/path, and fails for anything above DIR.
func above(t *testing.T, dir, path string, trusted ...int) []Fault {
	t.Helper()
	faults, err := Above(filepath.Join(dir, path), append(trusted, os.Geteuid())...)
	must(t, err)
	for i, f := range faults {
		rel, err := filepath.Rel(dir, f.Path)
		if err != nil || !filepath.IsLocal(rel) {
			t.Fatalf("a fault above the test's own folder: %+v", f)
		}
		faults[i].Path = rel
	}
	return faults
}

func TestAFolderThatOthersMayWriteToIsAFault(t *testing.T) {
	dir := tree(t)
	if got := above(t, dir, "a/b/c"); len(got) != 0 {
		t.Fatalf("of a good way: %+v", got)
	}
	must(t, os.Chmod(filepath.Join(dir, "a"), 0o757))
	if got, want := above(t, dir, "a/b/c"), []Fault{{"a", AnyoneWrites, ""}}; !slices.Equal(got,
		want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	must(t, os.Chmod(filepath.Join(dir, "a"), 0o757|os.ModeSticky))
	if got := above(t, dir, "a/b/c"); len(got) != 0 {
		t.Errorf("of what is ours in a sticky folder: %+v", got)
	}
	c := filepath.Join(dir, "a", "b", "c")
	must(t, os.Chmod(c, 0o757))
	if got := above(t, dir, "a/b/c"); len(got) != 0 {
		t.Errorf("of what is not on the way: %+v", got)
	}
	if got, err := Into(c, os.Geteuid()); err != nil ||
		!slices.Equal(got, []Fault{{c, AnyoneWrites, ""}}) {
		t.Errorf("the way into it: %+v, %v", got, err)
	}
}

func TestAFolderOfAnotherAccountIsAFault(t *testing.T) {
	onlyRoot(t)
	dir := tree(t)
	must(t, os.Chown(filepath.Join(dir, "a", "b"), annID, 0))
	if got, want := above(t, dir, "a/b/c"), []Fault{{"a/b", Foreign, "61003"}}; !slices.Equal(got,
		want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	must(t, os.Chmod(filepath.Join(dir, "a", "b"), 0o755|os.ModeSticky)) // she may take the bit off
	if got, want := above(t, dir, "a/b/c"), []Fault{{"a/b", Foreign, "61003"}}; !slices.Equal(got,
		want) {
		t.Errorf("with the sticky bit: got %+v, want %+v", got, want)
	}
	if got := above(t, dir, "a/b/c", annID); len(got) != 0 {
		t.Errorf("although she is trusted: %+v", got)
	}
	if got := above(t, dir, "a/b"); len(got) != 0 {
		t.Errorf("the folder itself is judged: %+v", got)
	}
}

func TestAnEntryOfAnotherAccountInAStickyFolderIsAFault(t *testing.T) {
	onlyRoot(t)
	dir := tree(t)
	must(t, os.Chmod(filepath.Join(dir, "a"), 0o777|os.ModeSticky))
	must(t, os.Symlink("b", filepath.Join(dir, "a", "link")))
	must(t, os.Lchown(filepath.Join(dir, "a", "link"), annID, 0))
	if got, want := above(t, dir, "a/link/c"),
		[]Fault{{"a/link", Foreign, "61003"}}; !slices.Equal(got, want) {
		t.Errorf("a link: got %+v, want %+v", got, want)
	}
	must(t, os.Chown(filepath.Join(dir, "a", "b"), annID, 0))
	if got, want := above(t, dir, "a/b"), []Fault{{"a/b", Foreign, "61003"}}; !slices.Equal(got,
		want) {
		t.Errorf("the last element: got %+v, want %+v", got, want)
	}
	if got, want := above(t, dir, "a/b/c"), []Fault{{"a/b", Foreign, "61003"}}; !slices.Equal(got,
		want) {
		t.Errorf("a folder: got %+v, want %+v", got, want)
	}
}

func TestTheGroupOfAFolder(t *testing.T) {
	onlyRoot(t)
	dir := tree(t)
	a := filepath.Join(dir, "a")
	must(t, os.Chmod(a, 0o775))
	if got := above(t, dir, "a/b"); len(got) != 0 {
		t.Errorf("root's own group: %+v", got)
	}
	must(t, os.Chown(a, 0, peopleID))
	if got, want := above(t, dir, "a/b"), []Fault{{"a", GroupWrites, "61002"}}; !slices.Equal(got,
		want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	must(t, os.Chmod(a, 0o755))
	if got := above(t, dir, "a/b"); len(got) != 0 {
		t.Errorf("a group that only reads: %+v", got)
	}
}

func TestAGroupThatAnAccountHasForItself(t *testing.T) {
	const accounts = "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n" +
		"bob:x:1001:100::/home/bob:/bin/sh\neve:x:1002:1002::/:/bin/sh\n" +
		"mallory:x:1003:1002::/:/bin/sh\n"
	const groups = "root:x:0:\nann:x:1000:\nusers:x:100:\nshared:x:1004:ann\neve:x:1002:\n" +
		"dan:x:1005:\n"
	for _, c := range []struct {
		name, groups string
		gid          int
		trusted      []int
		want         bool
	}{
		{"her own", groups, 1000, []int{0, 1000}, true},
		{"her own, which names her", "ann:x:1000:ann\n", 1000, []int{1000}, true},
		{"of somebody who is not trusted", groups, 1000, []int{0, 1001}, false},
		{"with another member", "ann:x:1000:bob\n", 1000, []int{1000}, false},
		{"with another member under another name", "ann:x:1000:\nstaff:x:1000:bob\n", 1000,
			[]int{1000}, false},
		{"which is the first one of another account too", groups, 1002, []int{1002}, false},
		{"for many, of which one is here", groups, 100, []int{1001}, false},
		{"which is nobody's first", groups, 1004, []int{1000}, false},
		{"without accounts", groups, 1005, []int{1000}, false},
		{"which this machine does not know", "root:x:0:\n", 1000, []int{1000}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := isPrivate(accounts, c.groups, c.gid, c.trusted); got != c.want {
				t.Errorf("is private: %v", got)
			}
		})
	}
}

func TestTheWayOfALinkIsJudgedToo(t *testing.T) {
	dir := tree(t)
	must(t, os.Mkdir(filepath.Join(dir, "loose"), 0o700))
	must(t, os.Mkdir(filepath.Join(dir, "loose", "x"), 0o700))
	must(t, os.Chmod(filepath.Join(dir, "loose"), 0o757))
	must(t, os.Symlink(filepath.Join(dir, "loose", "x"), filepath.Join(dir, "a", "absolute")))
	must(t, os.Symlink("../../loose/x", filepath.Join(dir, "a", "b", "relative")))
	must(t, os.Symlink(filepath.Join(dir, "a", "b"), filepath.Join(dir, "loose", "back")))
	must(t, os.Symlink("b", filepath.Join(dir, "a", "good")))
	want := []Fault{{"loose", AnyoneWrites, ""}}
	for _, path := range []string{"a/absolute", "a/absolute/", "a/b/relative", "a/b/relative/../x",
		"loose/back/c"} {
		faults, err := Above(dir+"/"+path, os.Geteuid())
		must(t, err)
		if len(faults) != 1 || faults[0] != (Fault{filepath.Join(dir, "loose"), AnyoneWrites, ""}) {
			t.Errorf("%s: got %+v, want %+v", path, faults, want)
		}
	}
	if got := above(t, dir, "a/good/c"); len(got) != 0 {
		t.Errorf("a link of ours: %+v", got)
	}
}

func TestAWayThatCannotBeFollowed(t *testing.T) {
	dir := tree(t)
	must(t, os.Symlink("loop", filepath.Join(dir, "loop")))
	must(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	must(t, os.Chmod(filepath.Join(dir, "a"), 0o757))
	if _, err := Above("a/b"); err == nil {
		t.Error("a relative path is judged")
	}
	if faults, err := Above(filepath.Join(dir, "a", "absent", "x"), os.Geteuid()); !errors.Is(err,
		fs.ErrNotExist) || len(faults) != 1 {
		t.Errorf("what is missing: %+v, %v", faults, err)
	}
	if _, err := Above(filepath.Join(dir, "loop")); err == nil ||
		!strings.Contains(err.Error(), "loop") {
		t.Errorf("a loop: %v", err)
	}
	for _, err := range []error{second(Above(filepath.Join(dir, "file", "x"))),
		second(Into(filepath.Join(dir, "file")))} {
		if err == nil {
			t.Error("a file is taken for a folder")
		}
	}
}

func second(_ []Fault, err error) error { return err }
