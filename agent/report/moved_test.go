package report

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sealpost/internal/reason"
)

// centre is a site that receives, and whose configuration changes between its runs.
type centre struct {
	t        *testing.T
	top      string
	memory   memory
	logs     bytes.Buffer
	language reason.Language
}

func newCentre(t *testing.T) *centre { return &centre{t: t, top: t.TempDir()} }

func (c *centre) at(name string) string { return filepath.Join(c.top, filepath.FromSlash(name)) }

// run runs a reporter of a site whose inbox is below such a folder, for so long.
func (c *centre) run(inbox string, during func()) {
	c.t.Helper()
	synctest.Test(c.t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		r := New(Options{Site: "CA-RC", Folder: c.at("site"), Inbox: c.at(inbox), Memory: &c.memory,
			Language: c.language, Log: slog.New(slog.NewTextHandler(&c.logs, nil)),
			Read: func(context.Context) (Snapshot, error) {
				return Snapshot{Connected: true},
					nil
			},
			Changes: func() uint64 { return 0 }})
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		time.Sleep(time.Second)
		during()
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func nothing() {}

func (c *centre) says(name string, want ...string) {
	c.t.Helper()
	text, err := os.ReadFile(c.at(name))
	if err != nil {
		c.t.Error(err)
		return
	}
	for _, part := range want {
		if !strings.Contains(string(text), part) {
			c.t.Errorf("%s does not say %q:\n%s", name, part, text)
		}
	}
}

func (c *centre) remembers(names ...string) {
	c.t.Helper()
	for i := range names {
		names[i] = c.at(names[i])
	}
	if got, err := c.memory.Folders(c.t.Context()); err != nil || !slices.Equal(got, names) {
		c.t.Errorf("remembered are %q, %v, want %q", got, err, names)
	}
}

func (c *centre) folders(names ...string) {
	c.t.Helper()
	for _, name := range names {
		must(c.t, os.MkdirAll(c.at(name), 0o755))
	}
}

// The file beside an inbox that was moved names the new place. It does not report for ever that
// sealpost has stopped.
func TestAnInboxIsMoved(t *testing.T) {
	c := newCentre(t)
	c.folders("site", "old/inbox", "new/inbox")
	c.run("old/inbox", nothing)
	c.says("old/STATUS.txt", "STOPPED")
	c.remembers("old", "site")
	c.run("new/inbox", func() {
		c.says("old/STATUS.txt", title("CA-RC").String()+
			"\r\nThis file is not kept any more since ",
			"The inbox of the site is "+c.at("new/inbox")+".\r\n", "  "+c.at("site")+"\r\n")
		c.remembers("new", "site")
		c.says("new/STATUS.txt", "CONNECTED")
		c.says("site/STATUS.txt", "CONNECTED")
	})
	if text, err := os.ReadFile(c.at("old/STATUS.txt")); err != nil ||
		strings.Contains(string(text), "STOPPED") {
		t.Errorf("at the end it says:\n%s, %v", text, err)
	}
	c.run("old/inbox", func() { c.says("old/STATUS.txt", "CONNECTED") }) // back again
	c.says("new/STATUS.txt", "The inbox of the site is "+c.at("old/inbox"))
	c.remembers("old", "site")
	c.language = reason.German
	c.run("new/inbox", nothing)
	c.says("old/STATUS.txt", "sealpost: Stand der Dinge bei CA-RC",
		"Der Standort benutzt andere Ordner")
}

// A folder whose disk is away is not forgotten.
func TestAnOldFolderThatIsAway(t *testing.T) {
	for name, leave := range map[string]func(*centre) (back func()){
		"not there": func(c *centre) func() {
			must(t, os.Rename(c.at("old"), c.at("gone")))
			return func() { must(t, os.Rename(c.at("gone"), c.at("old"))) }
		},
		"not mounted": func(c *centre) func() {
			must(t, os.Rename(c.at("old"), c.at("gone")))
			must(t, os.Mkdir(c.at("old"), 0o755))
			return func() {
				must(t, errors.Join(os.Remove(c.at("old")), os.Rename(c.at("gone"), c.at("old"))))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCentre(t)
			c.folders("site", "old/inbox", "new/inbox")
			c.run("old/inbox", nothing)
			back := leave(c)
			c.run("new/inbox", nothing)
			c.remembers("old", "new", "site")
			c.run("new/inbox", func() {
				back()
				c.says("old/STATUS.txt", "STOPPED")
				time.Sleep(heartbeat + time.Second)
				c.says("old/STATUS.txt", "The inbox of the site is "+c.at("new/inbox"))
				c.remembers("new", "site")
			})
			if c.logs.Len() > 0 {
				t.Errorf("logged: %s", &c.logs)
			}
		})
	}
}

// An agent that runs from a copy of another one's folder leaves that one's file alone. Without
// another one the file becomes old.
func TestAnOldFolderThatAnotherAgentKeeps(t *testing.T) {
	c := newCentre(t)
	c.folders("site", "old/inbox", "new/inbox")
	c.run("old/inbox", nothing)
	path := c.at("old/STATUS.txt")
	must(t, os.WriteFile(path, []byte(title("CA-RC").String()+"\r\n\r\nCONNECTED"), 0o644))
	start := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // of a bubble's clock
	must(t, os.Chtimes(path, start, start))
	c.run("new/inbox", func() {
		c.says("old/STATUS.txt", "CONNECTED")
		time.Sleep(Old + heartbeat)
		c.says("old/STATUS.txt", "The inbox of the site is "+c.at("new/inbox"))
	})
}

// Only a file of this very site gets a last word.
func TestAnOldFolderWithAFileOfAnother(t *testing.T) {
	c := newCentre(t)
	c.folders("site", "old/inbox", "new/inbox")
	c.run("old/inbox", nothing)
	for _, text := range []string{"my notes", title("SF-RC").String() + "\r\nits inbox is here now",
		title("CA-RC").String() + "-2\r\n"} {
		must(t, os.WriteFile(c.at("old/STATUS.txt"), []byte(text), 0o644))
		c.run("new/inbox", nothing)
		c.says("old/STATUS.txt", text)
	}
	must(t, os.WriteFile(c.at("old/STATUS (sealpost).txt"),
		[]byte(title("CA-RC").String()+"\r\nSTOPPED"), 0o644))
	c.run("new/inbox", nothing)
	c.says("old/STATUS (sealpost).txt", "The inbox of the site is "+c.at("new/inbox"))
	c.says("old/STATUS.txt", "CA-RC-2")
}

// The folder that another path leads to as well is no old one.
func TestAFolderByAnotherPath(t *testing.T) {
	c := newCentre(t)
	c.folders("site", "old/inbox")
	if err := os.Symlink("old", c.at("link")); err != nil {
		t.Skipf("SKIPPED: no links here: %v", err)
	}
	c.run("old/inbox", nothing)
	c.run("link/inbox", func() { c.says("old/STATUS.txt", "CONNECTED") })
	c.remembers("link", "site")
}

// An old file that cannot be rewritten is logged once, with what to do about it.
func TestAnOldFileThatMayNotBeRewritten(t *testing.T) {
	if os.Geteuid() == 0 || runtime.GOOS == "windows" {
		t.Skip("SKIPPED: root may write anywhere, and a folder is closed otherwise on Windows")
	}
	c := newCentre(t)
	c.folders("site", "old/inbox", "new/inbox")
	c.run("old/inbox", nothing)
	must(t, os.Chmod(c.at("old"), 0o555))
	t.Cleanup(func() { must(t, os.Chmod(c.at("old"), 0o755)) })
	c.run("new/inbox", func() { time.Sleep(3 * heartbeat) })
	if n := strings.Count(c.logs.String(), "remove it"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, &c.logs)
	}
	c.remembers("old", "new", "site")
}

func TestAMemoryThatFailsEndsIt(t *testing.T) {
	c := newCentre(t)
	c.folders("site", "new/inbox")
	c.memory.err = errors.New("the ledger is gone")
	r := New(Options{Site: "CA-RC", Folder: c.at("site"), Memory: &c.memory,
		Language: c.language, Log: slog.New(slog.DiscardHandler)})
	if err := r.Run(t.Context()); !errors.Is(err, c.memory.err) {
		t.Errorf("it ended with %v", err)
	}
}

// The number of recorded folders is bounded.
func TestFewOldFoldersAreRemembered(t *testing.T) {
	c := newCentre(t)
	c.folders("site", "new/inbox")
	for i := range 2 * maxOld {
		c.memory.folders = append(c.memory.folders, c.at(string(rune('A'+i))))
	}
	last := c.memory.folders[2*maxOld-1]
	c.run("new/inbox", nothing)
	if n := len(c.memory.folders); n != maxOld+2 || c.memory.folders[maxOld-1] != last {
		t.Errorf("remembered are %q", c.memory.folders)
	}
}

// The places of the files, and the content of each.
func TestPlaces(t *testing.T) {
	site, seq, far := t.TempDir(), t.TempDir(), t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	linked := os.Symlink(site, link) == nil
	ofTray := []string{"outbox", "sending"}
	tray := func(name, dir string) Tray { return Tray{name, dir} }
	for name, c := range map[string]struct {
		o    Options
		want []place
	}{
		"all in one": {
			Options{Folder: site, Trays: []Tray{tray("outbox", site)},
				Inbox: filepath.Join(site, "inbox")},
			[]place{{site, []string{"outbox"}, filepath.Join(site, "inbox"), true, nil}}},
		"an inbox elsewhere": {Options{Folder: site, Inbox: filepath.Join(far, "inbox")},
			[]place{{far, nil, filepath.Join(far, "inbox"), false, []string{"inbox"}},
				{site, nil, filepath.Join(far, "inbox"), true, nil}}},
		"a tray in the site": {
			Options{Folder: site, Trays: []Tray{tray("outbox", site), tray("seq", seq)}},
			[]place{{site, []string{"outbox"}, "", true, nil},
				{seq, []string{"seq"}, "", false, ofTray}}},
		"everything far away": {
			Options{Folder: site, Trays: []Tray{tray("outbox", far), tray("seq", seq)},
				Inbox: filepath.Join(far, "inbox")},
			[]place{
				{far, []string{"outbox"}, filepath.Join(far, "inbox"), false,
					append(ofTray, "inbox")}, {seq, []string{"seq"}, "", false, ofTray},
				{site, []string{"outbox", "seq"}, filepath.Join(far, "inbox"), true, nil}}},
		"no folder of a site": {Options{Trays: []Tray{tray("outbox", far)}},
			[]place{{far, []string{"outbox"}, "", false, ofTray}}},
		"by a link": {Options{Folder: link, Trays: []Tray{tray("outbox", site)}},
			[]place{{site, []string{"outbox"}, "", true, nil}}},
	} {
		if c.o.Folder == link && !linked {
			continue
		}
		var got []place
		for _, p := range places(c.o) {
			got = append(got, *p)
		}
		if !slices.EqualFunc(got, c.want, func(a, b place) bool {
			return a.dir == b.dir && slices.Equal(a.trays, b.trays) && a.inbox == b.inbox &&
				a.disks == b.disks && slices.Equal(a.holds, b.holds)
		}) {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
}
