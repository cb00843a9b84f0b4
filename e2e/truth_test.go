//go:build linux

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The stories of this file and of truth_inbox_test.go compare sealpost's texts beside users' files
// with the truth. They know no sentences, only words that a true one must have, or that a wrong one
// has.

// statusAt returns a folder's STATUS.txt; empty: there is none.
func statusAt(t testing.TB, dir string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "STATUS.txt"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(text), "\r\n", "\n")
}

// partsOf returns the parts of a status, between empty lines, that match all patterns.
func partsOf(text string, patterns ...string) (parts []string) {
	for part := range strings.SplitSeq(text, "\n\n") {
		all := true
		for _, p := range patterns {
			all = all && regexp.MustCompile(`(?i)`+p).MatchString(part)
		}
		if all {
			parts = append(parts, part)
		}
	}
	return parts
}

// saysOf waits until a part of the STATUS.txt in the site's folder matches all patterns.
func (s *site) saysOf(event string, patterns ...string) {
	s.t.Helper()
	eventually(s.t, fmt.Sprintf("STATUS.txt of %s says %s", s.name, event), func() bool {
		return len(partsOf(statusAt(s.t, s.dir), patterns...)) > 0
	}, func() string { return statusAt(s.t, s.dir) })
}

// statusSays waits until `agent status` matches all patterns.
func (s *site) statusSays(event string, patterns ...string) {
	s.t.Helper()
	eventually(s.t, fmt.Sprintf("the status of %s says %s", s.name, event), func() bool {
		return len(partsOf(strings.ReplaceAll(s.statusText(), "\n\n", "\n"), patterns...)) > 0
	}, s.statusText)
}

// isUpToDate waits until STATUS.txt reports a file that was dropped just now.
func (s *site) isUpToDate(w *world) {
	s.t.Helper()
	name := fmt.Sprintf("up to date %d.csv", len(w.drops))
	s.Drop(name, smallFile)
	s.saysOf("that "+name+" is delivered", "DELIVERED", name)
}

// wrongOfDelivered matches words that are untrue of a message that a centre has.
const wrongOfDelivered = "not been sent|never sent|nobody has"

// Files that are dropped together share a folder in sending, and one is renamed there while a
// centre is closed. It is delivered, and the status never says that it was not sent.
func TestAFileIsRenamedInSending(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ca, sf := w.Centre("CA-RC", "fl-lab.*"), w.Centre("SF-RC", "#")
	lab := w.NewLab("FL-LAB", ca, sf)
	names := []string{"a.csv", "b.csv", "c.csv", "d.csv"}
	for _, name := range names {
		lab.Drop(name, smallFile)
	}
	sf.Stop()
	lab.Start()
	ca.Expect(lab, names...)
	place := lab.inSending("a.csv")
	must(t, os.Rename(place, filepath.Join(filepath.Dir(place), "renamed.csv")))
	sf.Start()
	sf.Expect(lab, names...)
	eventually(t, "all are delivered", func() bool {
		return len(lab.Status().Outbox.Delivered) == 4
	}, lab.statusText)
	isLeft := func() bool { return len(lab.filesNamed("sending", "renamed.csv")) > 0 }
	folder := filepath.Base(filepath.Dir(place))
	for range 2 { // and again when the agent has started anew
		lab.isUpToDate(w)
		eventually(t, "it is moved on, or named",
			func() bool { return !isLeft() || len(partsOf(statusAt(t, lab.dir), folder)) > 0 },
			func() string { return statusAt(t, lab.dir) })
		for source, text := range map[string]string{"STATUS.txt": statusAt(t, lab.dir),
			"the status": lab.statusText()} {
			if parts := partsOf(text, wrongOfDelivered); len(parts) > 0 {
				t.Errorf("%s says of what both centres have:\n%s", source,
					strings.Join(parts, "\n"))
			}
		}
		lab.Stop()
		lab.Start()
	}
	if isLeft() {
		lab.saysOf("that what is left in sending was delivered", folder, "delivered")
	}
}

// A file is edited in delivered, or replaced by another of its size and time. It is no longer the
// delivered one, and is not sent again as if it were.
func TestAnEditedFileIsNotSentAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ca, sf := w.Centre("CA-RC", "fl-lab.*"), w.Centre("SF-RC", "somebody.else")
	lab := w.Lab("FL-LAB", ca)
	sealpost(t, "agent", "approve", "SF-RC", "--route", "@SF-RC", "--dir", lab.dir)
	for _, name := range []string{"edited.csv", "exchanged.csv", "left alone.csv"} {
		lab.MoveIn(name, smallFile)
		eventually(t, name+" is delivered", func() bool {
			return len(lab.filesNamed("delivered", name)) == 1
		}, lab.statusText)
	}
	resend := func(name string) (says string, code int) {
		id := filepath.Base(filepath.Dir(lab.filesNamed("delivered", name)[0]))
		out, errs, code := run(t, "agent", "resend", id, "--to", "SF-RC", "--dir", lab.dir)
		return out + errs, code
	}
	more(t, lab.filesNamed("delivered", "edited.csv")[0], "edited afterwards\n")
	info, err := os.Stat(lab.filesNamed("delivered", "exchanged.csv")[0])
	must(t, err)
	other := filepath.Join(w.dir, "other")
	must(t, os.WriteFile(other, make([]byte, smallFile), 0o644)) // of the same size and time
	must(t, os.Chtimes(other, info.ModTime(), info.ModTime()))
	must(t, os.Rename(other, lab.filesNamed("delivered", "exchanged.csv")[0]))
	for _, name := range []string{"edited.csv", "exchanged.csv"} {
		says, code := resend(name)
		if code == 0 || !strings.Contains(says, name) {
			t.Errorf("%s: exit code %d: %s", name, code, says)
		}
	}
	if says, code := resend("left alone.csv"); code != 0 {
		t.Errorf("what was left alone is refused: %s", says)
	}
	sf.Expect(lab, "left alone.csv")
	for _, name := range []string{"edited.csv", "exchanged.csv"} {
		if _, err := os.Lstat(sf.at("inbox", "FL-LAB", name)); err == nil {
			t.Errorf("SF-RC has %s, which no user has dropped like that", name)
		}
	}
}

// A file is edited in sending while a centre is closed. Both centres get the file as it was
// dropped, and the lab is told that its own is another now.
func TestAFileIsEditedInSending(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ca, sf := w.Centre("CA-RC", "fl-lab.*"), w.Centre("SF-RC", "#")
	lab := w.Lab("FL-LAB", ca, sf)
	sf.Stop()
	d := lab.Drop("results.csv", smallFile)
	ca.Expect(lab, d.name)
	more(t, lab.inSending(d.name), "edited afterwards\n")
	sf.Start()
	for _, c := range []*site{ca, sf} {
		c.Expect(lab, d.name)
		if sum, err := hashFile(c.at("inbox", "FL-LAB", d.name)); err != nil || sum != d.sum {
			t.Errorf("%s has something else: %v", c.name, err)
		}
	}
	lab.saysOf("that it was delivered otherwise", d.name, "chang|edit|differ|not what|other than")
}

// The status names files that a user puts into sending, delivered or failed, at once. It also names
// the folder where they belong.
func TestFilesInTheWrongFolders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	centre := w.Centre("CA-RC", "fl-lab.*")
	lab := w.Lab("FL-LAB", centre)
	lab.isUpToDate(w)
	for _, folder := range []string{"sending", "delivered", "failed"} {
		must(t, os.WriteFile(lab.at(folder, "put into "+folder+".csv"), []byte("data"), 0o644))
		must(t, os.Mkdir(lab.at(folder, "folder in "+folder), 0o755))
		must(t, os.WriteFile(lab.at(folder, "folder in "+folder, "data.csv"), []byte("data"),
			0o644))
	}
	for _, folder := range []string{"sending", "delivered", "failed"} {
		lab.saysOf("where a file belongs", `(?s)put into `+folder+`\.csv.*outbox`)
		lab.saysOf("where a folder belongs", `(?s)folder in `+folder+`.*outbox`)
		lab.statusSays("where a file belongs", `(?s)put into `+folder+`\.csv.*outbox`)
	}
	if n := centre.count("inbox"); n != 1 {
		t.Errorf("%d files have arrived", n)
	}
}

// The status never says that a folder of the system in outbox is taken. The agent may not move it.
func TestAFolderOfTheSystemInOutbox(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: only root makes folders that the agent may not move")
	}
	w := newWorld(t)
	centre := w.Centre("CA-RC", "fl-lab.*")
	lab := w.NewLab("FL-LAB", centre)
	edit(t, lab.config(), `folder_settle = "1m"`, `folder_settle = "0s"`)
	lab.runAs(23456)
	for _, name := range []string{"lost+found", ".Trash-1000", "System Volume Information"} {
		must(t, os.Mkdir(lab.at("outbox", name), 0o755))
		must(t, os.WriteFile(lab.at("outbox", name, "file"), []byte("of the system"), 0o644))
	}
	lab.Start()
	lab.isUpToDate(w)
	if n := lab.Status().Outbox.Counts["claimed"]; n > 0 {
		t.Errorf("of what is not taken %d are said to be taken:\n%s", n, statusAt(t, lab.dir))
	}
	if n := centre.count("inbox"); n != 1 {
		t.Errorf("%d files have arrived", n)
	}
}

// Hidden files of systems and programs do not push the names that a user must see out of the list.
func TestHiddenFilesDoNotHideWhatMatters(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: only root drops what the agent may not read")
	}
	w := newWorld(t)
	centre := w.Centre("CA-RC", "fl-lab.*")
	lab := w.NewLab("FL-LAB", centre)
	lab.runAs(23456)
	for _, name := range []string{".DS_Store", "Thumbs.db", "desktop.ini", ".~lock.a.odt#",
		".~lock.b.odt#", ".~lock.c.odt#",
		".nfs000001", ".nfs000002", ".nfs000003", ".fuse_hidden01", ".goutputstream-A",
		".a.csv.swp", ".b.csv.swp", "~$a.docx"} {
		must(t, os.WriteFile(lab.at("outbox", name), []byte("x"), 0o644))
	}
	must(t, os.WriteFile(lab.at("outbox", "unreadable.csv"), []byte("data"), 0))
	must(t, os.Symlink("/etc/hostname", lab.at("outbox", "zz link.csv")))
	lab.Start()
	for _, name := range []string{"unreadable.csv", "zz link.csv"} {
		lab.saysOf("something of "+name, regexp.QuoteMeta(name))
		lab.statusSays("something of "+name, regexp.QuoteMeta(name))
	}
}

// A message waits for one centre that is closed: the status names the file and the centre.
func TestWhichFileWaitsForWhichCentre(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ca, sf := w.Centre("CA-RC", "fl-lab.*"), w.Centre("SF-RC", "#")
	lab := w.Lab("FL-LAB", ca, sf)
	sf.Stop()
	lab.Drop("waiting.csv", smallFile)
	ca.Expect(lab, "waiting.csv")
	lab.saysOf("which file waits for which centre", `waiting\.csv`, "SF-RC")
	lab.statusSays("which file waits for which centre", `waiting\.csv`, "SF-RC")
	sf.Start()
	sf.Expect(lab, "waiting.csv")
	w.Audit()
}
