//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// pointCall finds the instants at which the code lets a test end the process.
var pointCall = regexp.MustCompile(`\bfault\.Point\("([a-z0-9-]+)"\)`)

func faultPoints(t *testing.T) (names []string) {
	t.Helper()
	must(t, filepath.WalkDir("..", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, ".go") ||
			strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range pointCall.FindAllStringSubmatch(string(text), -1) {
			names = append(names, m[1])
		}
		return err
	}))
	slices.Sort(names)
	if len(names) < 10 {
		t.Fatalf("only %v", names)
	}
	return slices.Compact(names)
}

// Between any two steps of a file's life the process may end as in a power cut.
func TestKilledAtEveryPoint(t *testing.T) {
	t.Parallel()
	for _, point := range faultPoints(t) {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			if story := asideStories[point]; story != nil {
				story(t, point)
				return
			}
			killAt(t, point)
		})
	}
}

func killAt(t *testing.T, point string) { killOn(t, point, func(*site) {}) }

// killOn prepares the disks of a lab before it begins.
func killOn(t *testing.T, point string, prepare func(lab *site)) {
	w := newWorld(t)
	centre := w.Centre("CA-RC", "fl-lab.*")
	lab := w.NewLab("FL-LAB", centre)
	prepare(lab)
	for i := range 3 {
		lab.Drop(fmt.Sprintf("small file %d.csv", i), smallFile)
	}
	lab.Drop("large file.bin", largeFile)
	lab.Drop("huge file.bin", hugeFile)
	victim := lab.daemon
	switch {
	case strings.HasPrefix(point, "inbox-"):
		victim = centre.daemon
	case !strings.HasPrefix(point, "outbox-"):
		victim = w.hub.daemon
	}
	if victim != lab.daemon {
		victim.Stop()
		lab.Start()
	}
	victim.Start("SEALPOST_FAULT=" + point)
	if err := victim.Dies(); !killed(err) {
		t.Fatalf("it was to be killed at %s, and ended with: %v", point, err)
	}
	victim.Start()
	w.Audit()
}

func killed(err error) bool {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return false
	}
	status, known := exit.Sys().(syscall.WaitStatus)
	return known && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// A stream of files, while processes are killed.
func TestKilledAtAnyInstant(t *testing.T) {
	t.Parallel()
	pullPlugs(t, newWorld(t), 8)
}

// The same happens on a disk that lacks RENAME_NOREPLACE.
func TestKilledAtAnyInstantOnADiskThatCannotRename(t *testing.T) {
	t.Parallel()
	pullPlugs(t, newWorldIn(t, diskThatCannotRename(t), program), 4)
}

func pullPlugs(t *testing.T, w *world, rounds int) {
	if soak {
		rounds = 300
	}
	ca, sf := w.Centre("CA-RC", "fl-lab.*"), w.Centre("SF-RC", "#")
	lab := w.Lab("FL-LAB", ca, sf)
	type restarted interface {
		Kill()
		Start(env ...string)
	}
	everybody := []restarted{w.hub, lab, ca, sf}
	names := []string{"hub", "lab", "CA-RC", "SF-RC"}
	for round := range rounds {
		for i := range 20 {
			lab.Drop(fmt.Sprintf("round %d, file %d.csv", round, i), rand.Int64N(50*kib))
		}
		lab.Drop(fmt.Sprintf("round %d, large.bin", round), largeFile)
		if round%4 == 0 {
			lab.Drop(fmt.Sprintf("round %d, huge.bin", round), hugeFile)
		}
		instant := time.Duration(rand.Int64N(int64(500 * time.Millisecond)))
		n := rand.IntN(len(everybody))
		t.Logf("round %d: %s is killed after %s", round, names[n], instant)
		time.Sleep(instant)
		everybody[n].Kill()
		everybody[n].Start()
	}
	w.Audit()
}

func TestEverythingIsKilledAtOnce(t *testing.T) {
	t.Parallel()
	w, lab, centre := labAndCentre(t)
	for round := range 3 {
		for i := range 50 {
			lab.Drop(fmt.Sprintf("blackout %d, file %d.csv", round, i), smallFile)
		}
		lab.Drop(fmt.Sprintf("blackout %d, huge.bin", round), hugeFile)
		time.Sleep(time.Duration(rand.Int64N(int64(time.Second))))
		for _, d := range []*daemon{w.hub.daemon, lab.daemon, centre.daemon} {
			d.Kill()
		}
		centre.Start()
		lab.Start()
		w.hub.Start()
	}
	w.Audit()
}

// The route changes while a large file is under way. The file is sealed again for the new
// recipients, and its parts on the hub go.
func TestTheRouteChangesBetweenThePartsOfAFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ca := w.Centre("CA-RC", "fl-lab.*")
	lab := w.NewLab("FL-LAB", ca)
	lab.Drop("huge file.bin", threeParts)
	lab.Start("SEALPOST_FAULT=outbox-part:2")
	lab.Dies()
	sf := w.Centre("SF-RC", "#")
	lab.to = append(lab.to, sf)
	lab.Start()
	sealpost(t, "agent", "approve", "CA-RC", "SF-RC", "--dir", lab.dir)
	w.Audit()
}
