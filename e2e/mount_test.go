//go:build linux

package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// The centre is killed while it places a file, and starts again before the disk of its inbox is mounted: that the file is not
// there does not mean that a person has taken it. It says so, and goes on when the disk is there.
func TestTheInboxsDiskIsAwayAtTheStart(t *testing.T) {
	t.Parallel()
	w, lab, centre := labAndCentre(t)
	centre.Stop()
	disk := filepath.Join(w.dir, "disk")
	must(t, os.Rename(centre.at("inbox"), disk))
	must(t, os.Mkdir(centre.at("inbox"), 0o755))
	mount := func() error { return unix.Mount(disk, centre.at("inbox"), "", unix.MS_BIND, "") }
	if err := mount(); err != nil {
		t.Skipf("SKIPPED: mounting needs root: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(centre.at("inbox"), unix.MNT_DETACH) })
	lab.Drop("being placed.csv", smallFile)
	centre.daemon.Start("SEALPOST_FAULT=inbox-placing")
	centre.diesAt("inbox-placing")
	must(t, unix.Unmount(centre.at("inbox"), unix.MNT_DETACH))
	centre.daemon.Start()
	if err := centre.Dies(); err == nil || killed(err) {
		t.Errorf("it ended with: %v", err)
	}
	if !centre.Says("is not the folder into which something was being placed") {
		t.Error("it does not say why it ended")
	}
	must(t, mount())
	centre.Start() // as the service manager does
	w.Audit()
}
