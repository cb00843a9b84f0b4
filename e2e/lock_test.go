//go:build linux

package e2e

import (
	"os"
	"strings"
	"testing"
)

// A file is closed to the agent after it was taken, by its owner or by a program. It is said, the
// others go on, and so does this one when it is open again.
func TestAFileThatIsClosedWhileItIsSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	centre := w.Centre("CA-RC", "fl-lab.*")
	lab := w.NewLab("FL-LAB", centre)
	if os.Getuid() == 0 {
		lab.runAs(23456)
	}
	w.hub.Stop()
	lab.Start() // it seals nothing before the hub has proved its identity
	d := lab.MoveIn("closed.csv", smallFile)
	path := lab.sendingOf(d.name)
	must(t, os.Chmod(path, 0))
	w.hub.Start()
	eventually(t, "the status says so", func() bool {
		s := lab.statusText()
		return strings.Contains(s, d.name) &&
			strings.Contains(s, "it cannot be read now: sealpost's account has no right to do that")
	}, lab.statusText)
	lab.Drop("open.csv", smallFile)
	centre.Expect(lab, "open.csv")
	must(t, os.Chmod(path, 0o644))
	centre.Expect(lab, d.name)
	w.Audit()
}
