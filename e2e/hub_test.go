//go:build linux

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheHubIsGoneForAWhile(t *testing.T) {
	t.Parallel()
	w, lab, centre := labAndCentre(t)
	lab.Drop("before the outage.csv", smallFile)
	centre.Expect(lab, "before the outage.csv")
	w.hub.Stop()
	lab.Drop("during the outage.csv", smallFile)
	lab.Drop("during the outage.bin", largeFile)
	eventually(t, "they are taken", func() bool { return lab.count("outbox") == 0 })
	lab.Kill()
	lab.Start() // whoever starts without a hub waits for it
	eventually(t, "the lab says that the hub is gone", func() bool {
		l := lab.Status().Link
		return !l.Connected &&
			strings.HasPrefix(l.Trouble.String(),
				"the hub cannot be reached: connection refused at ")
	}, lab.statusText)
	lab.Drop("later in the outage.csv", smallFile)
	w.hub.Start()
	w.Audit()
}

// The hub is disposable: its folder burns in mid-traffic, and a new one is set up under the same
// root.
func TestTheHubIsDestroyedInMidTraffic(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ca, sf := w.Centre("CA-RC", "fl-lab.*"), w.Centre("SF-RC", "#")
	lab := w.Lab("FL-LAB", ca, sf)
	sf.Stop() // so that some have it and some have not
	lab.dropMany("before the fire")
	ca.Expect(lab, "before the fire, large.bin")
	lab.dropMany("as it burns")
	w.hub.Destroy()
	sf.Start()
	lab.dropMany("on the ruins")
	w.hub.Rebuild()
	w.Audit()
}

// The hub burns, and a new one is made from an export. No site is admitted by hand, and each file
// that was not received or not acknowledged arrives.
func TestTheHubIsRestoredFromAnExport(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ca, sf := w.Centre("CA-RC", "fl-lab.*"), w.Centre("SF-RC", "#")
	lab := w.Lab("FL-LAB", ca, sf)
	export := w.hub.Export()
	sf.Stop() // so that some have it and some have not
	lab.dropMany("before the fire")
	ca.Expect(lab, "before the fire, large.bin")
	lab.dropMany("as it burns")
	w.hub.Destroy()
	sf.Start()
	lab.dropMany("on the ruins")
	w.hub.Restore(export)
	w.Audit()
}

// An operator puts an older copy of the hub's folder in its place. It has no later record, counts
// its events and deliveries on from an earlier number, and offers deliveries that were settled
// meanwhile.
func TestAnOlderCopyOfTheHubIsPutBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ca, sf := w.Centre("CA-RC", "fl-lab.*"), w.Centre("SF-RC", "#")
	lab := w.Lab("FL-LAB", ca, sf)
	sf.Stop() // so that some have it and some have not
	lab.dropMany("before the copy")
	eventually(t, "CA-RC has everything", func() bool { return ca.count("inbox") == len(w.drops) },
		ca.statusText)
	w.hub.Stop()
	old := w.hub.Copy()
	w.hub.Start()
	sf.Start()
	lab.dropMany("after the copy")
	eventually(t, "everything is delivered", func() bool {
		return lab.count("delivered") == len(w.drops)
	}, lab.statusText)
	sf.Stop()
	lab.dropMany("lost")
	ca.Expect(lab, "lost, large.bin")
	ca.Stop() // so that nothing happens before the lab has seen that its events are ahead
	w.hub.PutBack(old)
	eventually(t, "the lab sees it", func() bool {
		return lab.Says("the hub was put back to an older state")
	}, lab.statusText)
	ca.Start()
	sf.Start()
	lab.dropMany("after all")
	w.Audit()
}

// The hub may hold everything for a while, and must learn nothing from it. The test searches its
// disk and its memory.
func TestTheHubLearnsNothingFromWhatItHolds(t *testing.T) {
	t.Parallel()
	w, lab, centre := labAndCentre(t)
	centre.Stop()
	for i := range 20 {
		lab.Drop(fmt.Sprintf("confidential %d.csv", i), smallFile)
	}
	lab.Drop("confidential large.bin", largeFile)
	lab.Drop("confidential huge.bin", hugeFile)
	eventually(t, "the hub has everything", func() bool {
		n := 0
		for _, m := range lab.Status().Outbox.Latest {
			if m.State == "published" {
				n++
			}
		}
		return n == len(w.drops)
	}, lab.statusText)
	c := w.canaryOf()
	for _, secret := range memoryOf(t, c, w.hub.Process().Pid) {
		t.Errorf("the hub has %s in its memory", secret)
	}
	a := &audit{w: w}
	a.checkCanary()
	for _, p := range a.problems {
		t.Errorf("auditor: %s", p)
	}
	centre.Start()
	w.Audit()
}

// memoryOf searches the memory of a process that it may write to.
func memoryOf(t testing.TB, c *canary, pid int) (found []string) {
	t.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	must(t, err)
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	must(t, err)
	defer mem.Close()
	searched := int64(0)
	for line := range strings.Lines(string(maps)) {
		var from, to int64
		var rights string
		if n, _ := fmt.Sscanf(line, "%x-%x %s", &from, &to, &rights); n != 3 ||
			!strings.HasPrefix(rights, "rw") || to-from > gib {
			continue // the race detector's shadow is larger than any computer
		}
		if raceEnabled && from>>36 != 0xc {
			continue // its own notes are large too; Go's heap begins at 0xc000000000
		}
		const step = 4 * mib
		for at := from; at < to; at += step {
			// a secret that lies across two pieces is whole in one of them
			data := make([]byte, min(step+256, to-at))
			if n, err := mem.ReadAt(data, at); err == nil || n > 0 {
				found = append(found, c.find(data[:n])...)
				searched += int64(n)
			}
		}
	}
	if searched < mib {
		t.Fatalf("only %d bytes of memory could be searched", searched)
	}
	return found
}

// The search of memory finds secrets: the lab knows its files' names and its own keys.
func TestTheSearchOfMemoryFinds(t *testing.T) {
	t.Parallel()
	w, lab, centre := labAndCentre(t)
	lab.Drop("a name to be found.csv", smallFile)
	centre.Expect(lab, "a name to be found.csv")
	c := w.canaryOf()
	if found := memoryOf(t, c, lab.Process().Pid); !strings.Contains(strings.Join(found, " "),
		"identity key of FL-LAB") {
		t.Errorf("in the lab's memory there is only %v", found)
	}
	if found := memoryOf(t, c, w.hub.Process().Pid); len(found) > 0 {
		t.Errorf("the hub has %v in its memory", found)
	}
	w.Audit()
}

func TestTwoAgentsWithTheSameKeys(t *testing.T) {
	t.Parallel()
	w, lab, centre := labAndCentre(t)
	lab.Drop("before the copy.csv", smallFile)
	centre.Expect(lab, "before the copy.csv")
	eventually(t, "it is delivered", func() bool { return lab.count("delivered") == 1 })
	centre.Stop()
	copied := &site{w: w, name: centre.name, role: centre.role, dir: filepath.Join(w.dir, "copy")}
	must(t, exec.Command("cp", "-a", centre.dir, copied.dir).Run())
	copied.daemon = newDaemon(t, "the copy of CA-RC", filepath.Join(w.dir, "copy.log"), program,
		"agent", "run", "--dir", copied.dir)
	centre.Start()
	lab.Drop("to the first.csv", smallFile)
	centre.Expect(lab, "to the first.csv")
	// or the copy would get it too
	eventually(t, "it is delivered", func() bool { return lab.count("delivered") == 2 })
	copied.Start()
	if err := centre.Dies(); err == nil || killed(err) {
		t.Errorf("the displaced agent ends with %v", err)
	}
	if !centre.Says("another agent runs this site with the same keys") {
		t.Error("the displaced agent does not say why it stops")
	}
	lab.Drop("to the copy.csv", smallFile)
	copied.Expect(lab, "to the copy.csv")
	// The copy has no file that the first one received: together they are one inbox.
	if copied.count("inbox") != 2 || centre.count("inbox") != 2 {
		t.Errorf("the first has %v, the copy %v", sortedKeys(centre.files("inbox")),
			sortedKeys(copied.files("inbox")))
	}
	eventually(t, "all are delivered", func() bool { return lab.count("delivered") == 3 },
		lab.statusText)
}
