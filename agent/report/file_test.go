package report

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sealpost/internal/reason"
	"sealpost/internal/testkit"
)

var must = testkit.Must

// kept is a status file in a folder, and its log.
type kept struct {
	*file
	t    *testing.T
	logs *bytes.Buffer
	n    int
}

func keepIn(t *testing.T, dir string) *kept {
	logs := new(bytes.Buffer)
	o := Options{Site: "FL-LAB", Folder: dir, Log: slog.New(slog.NewTextHandler(logs, nil))}
	return &kept{newFile(&place{dir: dir, disks: true}, o), t, logs, 0}
}

// tell has something new to say each time.
func (k *kept) tell() {
	k.t.Helper()
	k.n++
	k.offer(Snapshot{Connected: true, Hub: strings.Repeat("I", k.n)})
	k.now()
}

// now keeps the file for as long as something is offered.
func (k *kept) now() {
	next := k.next
	close(next)
	done := make(chan struct{})
	go func() { defer close(done); k.keep() }()
	select {
	case <-done:
	case <-time.After(time.Minute):
		k.t.Fatal("it hangs")
	}
	k.next = make(chan Snapshot, 1)
}

// expect fails the test unless the newest state stands under this name, and under no other.
func (k *kept) expect(name string) {
	k.t.Helper()
	for _, n := range names {
		text, err := os.ReadFile(filepath.Join(k.dir, n))
		is := err == nil && strings.HasPrefix(string(text), title(k.site).String()+"\r\n")
		if n == name && (!is || !strings.Contains(string(text),
			"the hub "+strings.Repeat("I", k.n)+" since")) {
			k.t.Errorf("%s says %q, %v", n, text, err)
		}
		if n != name && is {
			k.t.Errorf("%s is a status file, too", n)
		}
	}
	if left, err := filepath.Glob(filepath.Join(k.dir, ".sealpost-*")); err != nil ||
		len(left) > 0 {
		k.t.Errorf("left behind: %v, %v", left, err)
	}
}

func expectText(t *testing.T, path, want string) {
	t.Helper()
	if text, err := os.ReadFile(path); err != nil || string(text) != want {
		t.Errorf("%s says %q, %v", path, text, err)
	}
}

// A user's file of that name stays, also one that comes later. Ours has its name again once that is
// free.
func TestAFileOfAnotherKeepsItsName(t *testing.T) {
	k := keepIn(t, t.TempDir())
	k.tell()
	k.expect("STATUS.txt")
	own := filepath.Join(k.dir, "STATUS.txt")
	for range 2 {
		must(t, os.WriteFile(own, []byte("my notes"), 0o644))
		for range 2 {
			k.tell()
			k.expect("STATUS (sealpost).txt")
			expectText(t, own, "my notes")
		}
		must(t, os.Remove(own))
		k.tell()
		k.expect("STATUS.txt")
	}
	must(t, os.Remove(own))
	must(t, os.Mkdir(own, 0o755))
	k.tell()
	k.expect("STATUS (sealpost).txt")
}

// Where both names are taken nothing is replaced. It is logged once, and the file is there when one
// is free.
func TestNoNameIsFree(t *testing.T) {
	k := keepIn(t, t.TempDir())
	for _, name := range names {
		must(t, os.WriteFile(filepath.Join(k.dir, name), []byte("my notes\r\n"), 0o644))
	}
	for range 3 {
		k.tell()
	}
	for _, name := range names {
		expectText(t, filepath.Join(k.dir, name), "my notes\r\n")
	}
	if n := strings.Count(k.logs.String(), "lie other files named STATUS.txt and STATUS "+
		"(sealpost).txt"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, k.logs)
	}
	must(t, os.Remove(filepath.Join(k.dir, names[1])))
	k.tell()
	k.expect(names[1])
}

// A crash may leave the file empty, which no user misses.
func TestAnEmptyFileIsReplaced(t *testing.T) {
	k := keepIn(t, t.TempDir())
	must(t, os.WriteFile(filepath.Join(k.dir, "STATUS.txt"), nil, 0o644))
	k.tell()
	k.expect("STATUS.txt")
}

// Two sites whose inboxes lie side by side do not overwrite each other's file. That of a site that
// is gone is replaced.
func TestTwoSitesInOneFolder(t *testing.T) {
	for _, l := range reason.Languages() {
		k := keepIn(t, t.TempDir())
		path := filepath.Join(k.dir, "STATUS.txt")
		other := title("TX-LAB").In(l) + "\r\n"
		must(t, os.WriteFile(path, []byte(other), 0o644))
		k.tell()
		k.expect("STATUS (sealpost).txt")
		expectText(t, path, other)
		long := time.Now().Add(-Old - time.Minute)
		must(t, os.Chtimes(path, long, long))
		k.tell()
		k.expect("STATUS.txt")
	}
}

// A file in the language of before is the site's own still.
func TestTheLanguageIsChanged(t *testing.T) {
	for _, l := range reason.Languages() {
		k := keepIn(t, t.TempDir())
		path := filepath.Join(k.dir, "STATUS.txt")
		must(t, os.WriteFile(path, []byte(title("FL-LAB").In(l)+"\r\n"), 0o644))
		k.tell()
		k.expect("STATUS.txt")
	}
}

// The title tells a site's file from a user's own, in each language.
func TestTitlesEndWithTheSite(t *testing.T) {
	for _, l := range reason.Languages() {
		before := title("").In(l)
		if got := title("CA-RC").In(l); got != before+"CA-RC" || len(before) < 20 {
			t.Errorf("the title in %s is %q", l, got)
		}
	}
}

// A folder that is away is logged once, and the file is written when it is back.
func TestAFolderThatIsAway(t *testing.T) {
	k := keepIn(t, filepath.Join(t.TempDir(), "away"))
	for range 3 {
		k.tell()
	}
	if n := strings.Count(k.logs.String(), "a status file cannot be written"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, k.logs)
	}
	must(t, os.Mkdir(k.dir, 0o755))
	k.tell()
	k.expect("STATUS.txt")
	must(t, os.RemoveAll(k.dir))
	k.tell()
	if n := strings.Count(k.logs.String(), "a status file cannot be written"); n != 2 {
		t.Errorf("away again: logged %d times:\n%s", n, k.logs)
	}
}

// While the disk of a folder is away its mount point stays empty: some disks need that. A file that
// is there is kept, whatever is missing beside it.
func TestAMountPointStaysEmpty(t *testing.T) {
	k := keepIn(t, t.TempDir())
	k.holds = []string{"outbox", "inbox"}
	k.tell()
	if entries, err := os.ReadDir(k.dir); err != nil || len(entries) > 0 || k.logs.Len() > 0 {
		t.Errorf("there lie %v, %v; logged: %s", entries, err, k.logs)
	}
	k.offer(Snapshot{Connected: true, Hub: "I"}) // nothing new, but nothing is written yet either
	must(t, os.Mkdir(filepath.Join(k.dir, "inbox"), 0o755))
	k.now()
	k.expect("STATUS.txt")
	must(t, os.Remove(filepath.Join(k.dir, "inbox")))
	k.tell()
	k.expect("STATUS.txt")
}
