//go:build linux

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// asideStories are the stories of points that a file passes only when something is in its way. Each
// brings a daemon to die there.
var asideStories = map[string]func(t *testing.T, point string){
	"outbox-recalled":  killWhenRecalled,
	"outbox-explained": killWhenRecalled,
	"outbox-withdrawn": killWhenTakenBack,
	"outbox-changed":   killWhenChanged,
	"outbox-unmarked":  killWhenMarked,
	"outbox-copied":    killWhenItGoesOn,
	"outbox-follows":   killWhenItGoesOn,
	"outbox-dropped":   killWhenTheRouteChanges,
	"outbox-segment":   killBetweenSegments,
	"inbox-edge":       killBetweenSegmentsAtACentre,
	"outbox-given":     killWhenGivenToASealer,
	"inbox-refused":    killWhenRefused,

	"outbox-aside":       killWhenCopied,
	"outbox-copied-over": killWhenCopied,
	"outbox-brought":     killWhenCopied,
	"outbox-recorded":    killWhenCopied,
	"outbox-cleared":     killWhenCopied,

	"outbox-removing":  killWhenRemoved,
	"outbox-set-aside": killWhenRemoved,
	"outbox-removed":   killWhenRemoved,

	"agent-key-added":     killWhenRotated,
	"agent-key-stated":    killWhenRotated,
	"agent-key-published": killWhenRotated,
	"agent-key-destroyed": killWhenRotated,
	"secret-exchanged":    killWhenRotated,
}

// killWhenRotated changes the recipient key of a centre, and destroys the former one at once.
func killWhenRotated(t *testing.T, point string) {
	w, lab, centre := labAndCentre(t)
	lab.Drop("before.csv", smallFile)
	eventually(t, "it is delivered", func() bool { return lab.count("delivered") == 1 },
		lab.statusText)
	centre.Stop()
	centre.Start("SEALPOST_FAULT=" + point)
	eventually(t, "the key is changed, or the agent has died", func() bool {
		_, _, code := run(t, "agent", "rotate", "--dir", centre.dir)
		return code == 0 || !centre.Running()
	}, centre.statusText)
	if point == "agent-key-destroyed" {
		run(t, "agent", "rotate", "--destroy", "--yes", "--dir", centre.dir)
	}
	centre.diesAt(point)
	if point != "agent-key-destroyed" {
		lab.Drop("meanwhile.csv", smallFile) // sealed for the key that the lab knows
	}
	centre.Start()
	w.Audit()
}

// killWhenRemoved has an old file removed from delivered.
func killWhenRemoved(t *testing.T, point string) {
	w := newWorld(t)
	lab := w.NewLab("FL-LAB", w.Centre("CA-RC", "fl-lab.*"))
	lab.Start()
	lab.Drop("old.csv", smallFile)
	eventually(t, "it is delivered, and the ledger has that", func() bool {
		return lab.sum(`SELECT count(*) FROM message WHERE filed = 1`) == 1
	}, lab.statusText)
	lab.Stop()
	const days = "172800000" // in milliseconds
	lab.exec("UPDATE message SET claimed = claimed - " + days + ", filed_at = filed_at - " + days)
	edit(t, lab.config(), `keep_delivered = "0s"`, `keep_delivered = "24h"`)
	lab.Start("SEALPOST_FAULT=" + point)
	lab.diesAt(point)
	// the next look is a day later
	lab.exec("UPDATE removal SET time = time - " + days)
	lab.Start()
	eventually(t, "it is removed, and listed", func() bool {
		return lab.sum(`SELECT count(*) FROM removal WHERE kept = ''`) == 1
	}, lab.statusText)
	if left, err := os.ReadDir(lab.at("delivered")); err != nil || len(left) > 0 {
		t.Errorf("in delivered: %v, %v", left, err)
	}
}

// killWhenCopied has the files of an outbox copied that is a disk of its own.
func killWhenCopied(t *testing.T, point string) {
	killOn(t, point, func(lab *site) {
		must(t, os.MkdirAll(lab.at("outbox"), 0o755))
		if err := unix.Mount(t.TempDir(), lab.at("outbox"), "", unix.MS_BIND, ""); err != nil {
			t.Skipf("SKIPPED: mounting needs root: %v", err)
		}
		t.Cleanup(func() { unix.Unmount(lab.at("outbox"), unix.MNT_DETACH) })
	})
}

func (d *daemon) diesAt(point string) {
	d.t.Helper()
	if err := d.Dies(); !killed(err) {
		d.t.Fatalf("it was to be killed at %s, and ended with: %v", point, err)
	}
}

func killWhenRecalled(t *testing.T, point string) {
	w := newWorld(t)
	lab := w.NewLab("FL-LAB", w.Centre("CA-RC", "fl-lab.*"))
	edit(t, lab.config(), `hold = "0s"`, `hold = "1h"`)
	lab.Start("SEALPOST_FAULT=" + point)
	mistake := lab.Drop("a mistake.csv", smallFile)
	mistake.fate = recalled
	// the agent may die before it answers
	run(t, "agent", "recall", lab.messageOf(mistake.name), "--dir", lab.dir)
	lab.diesAt(point)
	edit(t, lab.config(), `hold = "1h"`, `hold = "0s"`)
	lab.Start()
	lab.Drop("what was meant.csv", smallFile)
	w.Audit()
}

// killWhenMarked leaves a claimed file in outbox without the marker that it had.
func killWhenMarked(t *testing.T, point string) {
	w := newWorld(t)
	lab := w.NewLab("FL-LAB", w.Centre("CA-RC", "fl-lab.*"))
	edit(t, lab.config(), `finished = "settle"`, `finished = "marker"`)
	lab.Start("SEALPOST_FAULT=" + point)
	for _, name := range []string{"marked.csv", "marked too.csv"} {
		lab.Drop(name, smallFile)
		must(t, os.WriteFile(lab.at("outbox", name+".done"), nil, 0o644))
	}
	lab.diesAt(point)
	lab.Start()
	w.Audit()
}

// killWhenItGoesOn has a program go on in a folder that was delivered.
func killWhenItGoesOn(t *testing.T, point string) {
	w := newWorld(t)
	centre := w.Centre("CA-RC", "fl-lab.*")
	lab := w.NewLab("FL-LAB", centre)
	edit(t, lab.config(), `folder_settle = "1m"`, `folder_settle = "0s"`)
	lab.Start("SEALPOST_FAULT=" + point)
	must(t, os.MkdirAll(lab.at("made"), 0o755))
	must(t, os.WriteFile(lab.at("made", "scan 1.dat"), []byte("one"), 0o644))
	must(t, os.Rename(lab.at("made"), lab.at("outbox", "run")))
	delivered := func() (path string) {
		found, err := filepath.Glob(lab.at("delivered", "*_001", "run"))
		must(t, err)
		if len(found) == 1 {
			path = found[0]
		}
		return path
	}
	eventually(t, "it is delivered", func() bool { return delivered() != "" }, lab.statusText)
	must(t, os.WriteFile(filepath.Join(delivered(), "scan 2.dat"), []byte("two"), 0o644))
	lab.diesAt(point)
	lab.Start()
	second := func() []string {
		found, err := filepath.Glob(centre.inbox("FL-LAB", "run (*", "*"))
		must(t, err)
		return found
	}
	eventually(t, "the rest arrives", func() bool { return len(second()) > 0 }, lab.statusText)
	lab.Stop()
	lab.Start() // the next comparison finds nothing
	const open = `SELECT count(*) FROM message WHERE filed = 0 AND state <> 'withdrawn'`
	eventually(t, "all is delivered", func() bool { return lab.sum(open) == 0 }, lab.statusText)
	if got := second(); len(got) != 1 || filepath.Base(got[0]) != "scan 2.dat" {
		t.Errorf("as the rest came %q", got)
	}
	if left, err := filepath.Glob(lab.at("sending", "*")); err != nil || len(left) > 0 {
		t.Errorf("in sending: %q", left)
	}
}

// sendingOf returns the path of a taken file.
func (s *site) sendingOf(name string) (path string) {
	s.t.Helper()
	eventually(s.t, name+" is taken", func() bool {
		return s.sum(`SELECT count(*) FROM message WHERE state = 'taken'`) == 1
	}, s.statusText)
	for p := range s.files("sending") {
		path = s.at("sending", p)
	}
	return path
}

// takenWithoutHub drops a file that is taken and not sealed: the hub does not run. Then the hub
// runs, and the lab does not.
func takenWithoutHub(t *testing.T, name string) (w *world, lab *site, d *drop, path string) {
	t.Helper()
	w, lab, _ = labAndCentre(t)
	w.hub.Stop()
	lab.Stop()
	lab.Start()
	d = lab.Drop(name, smallFile)
	path = lab.sendingOf(name)
	lab.Stop()
	w.hub.Start()
	return w, lab, d, path
}

func killWhenTakenBack(t *testing.T, point string) {
	w, lab, d, path := takenWithoutHub(t, "second thoughts.csv")
	must(t, os.Remove(path))
	d.fate = withdrawn
	lab.Start("SEALPOST_FAULT=" + point)
	lab.diesAt(point)
	lab.Start()
	lab.Drop("first thoughts.csv", smallFile)
	w.Audit()
}

func killWhenChanged(t *testing.T, point string) {
	w, lab, d, path := takenWithoutHub(t, "still growing.csv")
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	must(t, err)
	_, err = f.WriteString("one more line, written after the file was dropped\n")
	must(t, err)
	must(t, f.Close())
	d.reread(path)
	lab.Start("SEALPOST_FAULT=" + point)
	lab.diesAt(point)
	lab.Start()
	w.Audit()
}

func killWhenTheRouteChanges(t *testing.T, point string) {
	w := newWorld(t)
	lab := w.NewLab("FL-LAB", w.Centre("CA-RC", "fl-lab.*"))
	lab.Drop("huge file.bin", hugeFile)
	lab.Start("SEALPOST_FAULT=outbox-part:2")
	lab.diesAt("outbox-part")
	lab.to = append(lab.to, w.Centre("SF-RC", "#"))
	lab.Start("SEALPOST_FAULT=" + point)
	lab.diesAt(point)
	lab.Start()
	sealpost(t, "agent", "approve", "CA-RC", "SF-RC", "--dir", lab.dir)
	w.Audit()
}

// killBetweenSegments sends a file of more than one segment, whose first one is not sent twice.
func killBetweenSegments(t *testing.T, point string) {
	w := newWorld(t)
	lab := w.NewLab("FL-LAB", w.Centre("CA-RC", "fl-lab.*"))
	d := lab.MoveIn("two segments.bin", 290*mib)
	lab.Start("SEALPOST_FAULT=" + point)
	lab.diesAt(point)
	lab.Start()
	eventually(t, "it is published", func() bool { return lab.state(d.name) == "published" },
		lab.statusText)
	if n := lab.sum("SELECT count(*) FROM envelope"); n != 1 {
		t.Errorf("it was sealed under %d envelope ids", n)
	}
	w.Audit()
}

// killBetweenSegmentsAtACentre sends a file of more than one segment. The centre does not read the
// first one twice.
func killBetweenSegmentsAtACentre(t *testing.T, point string) {
	w := newWorld(t)
	centre := w.Centre("CA-RC", "fl-lab.*")
	lab := w.Lab("FL-LAB", centre)
	centre.Stop()
	centre.Start("SEALPOST_FAULT=" + point)
	lab.MoveIn("two segments.bin", 290*mib)
	centre.diesAt(point)
	begun, err := filepath.Glob(centre.at("inbox", ".sealpost", "tmp", "*", "edge"))
	must(t, err)
	if len(begun) != 1 {
		t.Fatalf("begun are %v", begun)
	}
	centre.Start()
	w.Audit()
	if !centre.Says(`msg="goes on"`) {
		t.Error("it began anew")
	}
}

// killWhenGivenToASealer drops files where a sealer is free: they go to it straight from their
// claim.
func killWhenGivenToASealer(t *testing.T, point string) {
	w := newWorld(t)
	lab := w.NewLab("FL-LAB", w.Centre("CA-RC", "fl-lab.*"))
	lab.Start("SEALPOST_FAULT=" + point)
	lab.Drop("before them.csv", smallFile)
	delivered := func() bool { return !lab.running() || lab.count("delivered") == 1 }
	eventually(t, "it is at work", delivered, lab.statusText)
	for i := range 5 {
		lab.Drop(fmt.Sprintf("one of five, %d.csv", i), smallFile)
	}
	lab.diesAt(point)
	lab.Start()
	w.Audit()
}

// killWhenRefused gives the centre another key than the one for which a file was sealed, since that
// is lost. The centre refuses, dies, and gives the same answer again. The lab learns of it.
func killWhenRefused(t *testing.T, point string) {
	_, lab, centre := labAndCentre(t)
	centre.Stop()
	d := lab.Drop("for a key that is lost.csv", smallFile)
	eventually(t, "the hub has it", func() bool { return lab.state(d.name) == "published" },
		lab.statusText)
	must(t, os.Remove(centre.at("state", "recipient.key")))
	sealpost(t, "agent", "new-key", "--dir", centre.dir)
	centre.Start("SEALPOST_FAULT=" + point)
	centre.diesAt(point)
	centre.Start()
	eventually(t, "the lab knows", func() bool {
		why, err := filepath.Glob(lab.at("failed", "*", "WHY.txt"))
		return err == nil && len(why) == 1 && strings.Contains(read(t, why[0]), "CA-RC")
	}, lab.statusText)
	if n := centre.count("inbox"); n > 0 {
		t.Errorf("%d files arrived", n)
	}
	eventually(t, "the centre has settled", func() bool {
		return centre.sum(`SELECT count(*) FROM delivery WHERE target <> ''`) == 0
	})
	if n := centre.sum(`SELECT count(*) FROM delivery WHERE receipt <> ''`); n != 1 {
		t.Errorf("%d receipts were signed", n)
	}
}
