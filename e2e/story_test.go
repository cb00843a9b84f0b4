//go:build linux

package e2e

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestAFileArrives(t *testing.T) {
	t.Parallel()
	w, lab, centre := labAndCentre(t)
	lab.Drop("measurements.csv", smallFile)
	centre.Expect(lab, "measurements.csv")
	w.Audit()
}

func TestEveryCentreOfARouteGetsItsCopyAndNobodyElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ca, sf, ny := w.Centre("CA-RC", "fl-lab.*"), w.Centre("SF-RC", "#"),
		w.Centre("NY-RC", "ma-lab.*")
	fl, ma := w.Lab("FL-LAB", ca, sf), w.Lab("MA-LAB", sf, ny)
	ny.Stop()
	for i := range 5 {
		fl.Drop(fmt.Sprintf("florida %d.csv", i), smallFile)
		ma.Drop(fmt.Sprintf("massachusetts %d.csv", i), largeFile)
	}
	ca.Expect(fl, "florida 4.csv")
	sf.Expect(ma, "massachusetts 4.csv")
	ny.Start()
	w.Audit()
}

func TestNamesArriveAsTheyAreOrSafe(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	lab := w.NewLab("FL-LAB", w.Centre("CA-RC", "fl-lab.*"))
	edit(t, lab.config(), "hidden = false", "hidden = true")
	lab.Start()
	for i, name := range []string{
		"with several spaces .csv", " leading space.csv", `a "quoted" name.csv`, "it's a name.csv",
		".leading dot.csv", "..two leading dots", "trailing dot.", "trailing space ",
		"emoji 🧬🔬 sequence.csv", "newline\nin the name.csv", "tab\tin the name.csv",
		"escape \x1b[31m red.csv", "back\\slash.csv", "colon: stream.csv", "100%25 sure.csv",
		"CON.csv", "nul",
		"-rf", "--help", "$(touch gone).csv", "; touch gone.csv", "combining e\u0301.csv",
		"precomposed \u00e9.csv", "right to left \u202egpj.exe", "zero width\u200bspace.csv",
		strings.Repeat("long ", 49) + "end.csv", strings.Repeat("ü", 127), "UPPER.CSV", "upper.csv",
		"~tilde", "#hash", "*.csv", "WHY.txt", "message.json", "signature.jws",
	} {
		lab.Drop(name, int64(1000+i))
	}
	w.Audit()
}

func TestSizesAtEveryEdge(t *testing.T) {
	t.Parallel()
	w, lab, _ := labAndCentre(t)
	const inMemory, part = 768 * kib, 16 * mib
	for _, size := range []int64{0, 1, 2, 511, 512, 513, 64*kib - 1, 64 * kib, 64*kib + 1, inMemory,
		inMemory + 1, mib - 1, mib, mib + 1, part - 1, part, part + 1, 2*part + 1} {
		lab.MoveIn(fmt.Sprintf("size %d.bin", size), size)
	}
	w.Audit()
}

func TestTheSameNameAgainIsAnotherFile(t *testing.T) {
	t.Parallel()
	w, lab, _ := labAndCentre(t)
	for i := range 4 {
		lab.Drop("repeated.csv", int64(i*1000))
		lab.Drop("always empty", 0)
		eventually(t, "they are taken", func() bool { return lab.count("outbox") == 0 })
	}
	w.Audit()
}

func TestAnExecutableStaysOneWhereTheCentreSaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ca, sf := w.Centre("CA-RC", "fl-lab.*"), w.Centre("SF-RC", "fl-lab.*")
	lab := w.NewLab("FL-LAB", ca, sf)
	sf.Stop()
	edit(t, sf.config(), "executables = false", "executables = true")
	sf.Start()
	d := lab.Drop("analyse the data.sh", smallFile)
	must(t, os.Chmod(lab.at("outbox", d.name), 0o755))
	d.exec = true
	lab.Start()
	w.Audit()
}

func TestThousandsOfSmallFiles(t *testing.T) {
	t.Parallel()
	n := 1100 // more than two claims take
	if soak {
		n = 10_000
	}
	w, lab, _ := labAndCentre(t)
	for i := range n {
		lab.MoveIn(fmt.Sprintf("sample %05d.csv", i), int64(100+i%3000))
	}
	w.Audit()
}

func TestAFileThatNobodyMayReadIsSaidAndTakenLater(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	centre := w.Centre("CA-RC", "fl-lab.*")
	lab := w.NewLab("FL-LAB", centre)
	if os.Getuid() == 0 {
		lab.runAs(23456)
	}
	d := lab.MoveIn("unreadable.csv", smallFile)
	must(t, os.Chmod(lab.at("outbox", d.name), 0))
	lab.Start()
	eventually(t, "the status says so", func() bool {
		return strings.Contains(lab.Status().Outbox.NotTaken[d.name].String(), "may not read it")
	}, lab.statusText)
	lab.Drop("another.csv", smallFile)
	centre.Expect(lab, "another.csv")
	must(t, os.Chmod(lab.at("outbox", d.name), 0o644))
	centre.Expect(lab, d.name)
	w.Audit()
}

// runAs gives the site's folder to another account and runs its agent under it.
func (s *site) runAs(uid int) {
	s.t.Helper()
	s.Attributes.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}
	walkAll(s.t, s.dir, func(path string) { must(s.t, os.Lchown(path, uid, uid)) })
}

func TestAFileThatChangesWhileItIsSentArrivesAsItIsInTheEnd(t *testing.T) {
	t.Parallel()
	w, lab, centre := labAndCentre(t)
	d := lab.MoveIn("still growing.bin", 200*mib)
	eventually(t, "it is being sealed", func() bool { return lab.state(d.name) == "sealed" })
	var path string
	for p := range lab.files("sending") {
		path = lab.at("sending", p)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	must(t, err)
	_, err = f.WriteString("one more line, written after the file was dropped\n")
	must(t, err)
	must(t, f.Close())
	centre.Expect(lab, d.name)
	eventually(t, "it is delivered", func() bool { return lab.count("delivered") == 1 },
		lab.statusText)
	for p := range lab.files("delivered") {
		d.reread(lab.at("delivered", p))
	}
	if !lab.Says("it was changed while it was being sent") {
		t.Error("nobody was told that it changed")
	}
	w.Audit()
}

func TestAFileTakenBackBeforeItIsSentGoesNowhere(t *testing.T) {
	t.Parallel()
	w, lab, centre := labAndCentre(t)
	w.hub.Stop()
	lab.Stop()
	lab.Start() // it seals nothing before the hub has proved its identity
	d := lab.Drop("second thoughts.csv", smallFile)
	eventually(t, "it is taken", func() bool { return lab.count("sending") == 1 })
	for p := range lab.files("sending") {
		must(t, os.Remove(lab.at("sending", p)))
	}
	d.fate = withdrawn
	w.hub.Start()
	lab.Drop("first thoughts.csv", smallFile)
	centre.Expect(lab, "first thoughts.csv")
	eventually(t, "the status says so", func() bool {
		for _, m := range lab.Status().Outbox.Latest {
			if m.Name == d.name && m.State == "withdrawn" {
				return true
			}
		}
		return false
	}, lab.statusText)
	w.Audit()
}

func TestFilesWaitUntilTheLabApprovesTheirRecipients(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ca := w.Centre("CA-RC", "fl-lab.*")
	lab := w.Lab("FL-LAB", ca)
	sf := w.Centre("SF-RC", "#")
	lab.Drop("confidential.csv", smallFile)
	eventually(t, "it waits", func() bool { return len(lab.Status().Outbox.Blocked) == 1 },
		lab.statusText)
	if ca.count("inbox")+sf.count("inbox") > 0 {
		t.Error("it was sent all the same")
	}
	lab.to = append(lab.to, sf)
	sealpost(t, "agent", "approve", "CA-RC", "SF-RC", "--dir", lab.dir)
	w.Audit()
}

func TestManyLargeFilesAreEachTakenOnce(t *testing.T) {
	t.Parallel()
	w, lab, _ := labAndCentre(t)
	for i := range 12 {
		lab.Drop(fmt.Sprintf("one of many large %d.bin", i), 17*mib)
	}
	lab.Drop("small beside the large.csv", smallFile)
	w.Audit()
}
