//go:build linux

package e2e

import (
	"bufio"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// The system reports to the hub that a write to the disk failed, of a commit or of content. The hub
// says that it does not know, or no, and its earlier promises hold afterwards.
func TestTheHubsDiskFails(t *testing.T) {
	t.Parallel()
	w, lab, centre := labAndCentre(t)
	lab.Drop("before.csv", smallFile)
	centre.Expect(lab, "before.csv")
	for _, calls := range []string{"msync", "fsync,fdatasync"} {
		eventually(t, "nothing waits at the hub",
			func() bool { return w.hub.Status().Waiting == 0 }, centre.statusText)
		centre.Stop() // so that promised files wait at the hub
		lab.Drop("waits as "+calls+" fails.csv", smallFile)
		eventually(t, "it waits at the hub", func() bool { return w.hub.Status().Waiting == 1 })
		heal := failing(t, w.hub.Process().Pid, calls)
		lab.Drop("small, as "+calls+" fails.csv", smallFile)
		lab.Drop("huge, as "+calls+" fails.bin", hugeFile)
		if calls == "msync" {
			if err := w.hub.Dies(); err == nil || killed(err) {
				t.Errorf("when a commit fails the hub ends with: %v", err)
			}
			if !w.hub.Says("code=uncertain") ||
				!w.hub.Says("the outcome is uncertain until the spool has been opened again") {
				t.Error("the hub does not say that it does not know")
			}
		} else {
			eventually(t, "it is said", func() bool { return w.hub.Says("input/output error") })
		}
		heal()
		if !w.hub.running() {
			w.hub.Start()
		}
		centre.Start()
		for _, name := range []string{"waits as " + calls + " fails.csv",
			"small, as " + calls + " fails.csv", "huge, as " + calls + " fails.bin"} {
			centre.Expect(lab, name)
		}
	}
	w.Audit()
}

// failing has calls of a running process fail with an input/output error, until it is healed.
func failing(t *testing.T, pid int, calls string) (heal func()) {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("SKIPPED: strace is not installed")
	}
	cmd := exec.Command(strace, "-f", "-p", strconv.Itoa(pid), "-e", "trace="+calls, "-e",
		"inject="+calls+":error=EIO")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	said, err := cmd.StderrPipe()
	must(t, err)
	must(t, cmd.Start())
	lines := bufio.NewScanner(said)
	first := ""
	for lines.Scan() {
		if first = lines.Text(); strings.Contains(first, " attached") {
			break
		}
	}
	if !strings.Contains(first, " attached") {
		cmd.Wait()
		t.Skipf("SKIPPED: strace may not attach to a process here: %s", first)
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		for lines.Scan() {
		}
	}()
	return func() {
		t.Helper()
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			fmt.Println("strace is gone with the process:", err)
		}
		<-drained
		cmd.Wait()
	}
}
