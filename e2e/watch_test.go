//go:build linux

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// labInNamespace runs the lab's agent in a user namespace of its own, which has a limit of inotify.
func labInNamespace(t *testing.T, limit string, n int) (w *world, lab, centre *site) {
	t.Helper()
	if out, err := exec.Command("unshare", "--user", "--map-root-user",
		"true").CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: a limit of inotify needs a user namespace: %v: %s", err, out)
	}
	w = newWorld(t)
	centre = w.Centre("CA-RC", "fl-lab.*")
	lab = w.NewLab("FL-LAB", centre)
	lab.Command = append([]string{"unshare", "--user", "--map-root-user", "sh", "-c",
		fmt.Sprintf(`echo %d > /proc/sys/user/%s && exec "$@"`, n, limit), "sh"}, lab.Command...)
	lab.Start()
	return w, lab, centre
}

// setLimit changes a limit in the namespace of the agent.
func (s *site) setLimit(limit string, n int) {
	s.t.Helper()
	out, err := exec.Command("nsenter", "--user", "--target", strconv.Itoa(s.Process().Pid), "sh",
		"-c", fmt.Sprintf("echo %d > /proc/sys/user/%s", n, limit)).CombinedOutput()
	if err != nil {
		s.t.Fatalf("%v: %s", err, out)
	}
}

// rests fails the story if a process that has nothing to do takes more than this part of one
// processor.
func (s *site) rests(most float64) {
	s.t.Helper()
	before, began := processorTime(s.t, s.Process().Pid), time.Now()
	time.Sleep(4 * time.Second) // this is measured, and may take longer
	used, watched := processorTime(s.t, s.Process().Pid)-before, time.Since(began)
	if used > time.Duration(most*float64(watched)) {
		s.t.Errorf("%s used %s of the processor in %s", s.name, used, watched)
	}
}

func (s *site) tellsNoMore(event, text string) {
	s.t.Helper()
	eventually(s.t, s.name+" tells no more "+event, func() bool {
		return !strings.Contains(s.statusFile(), text) && !strings.Contains(s.statusText(), text)
	}, s.statusFile, s.statusText)
}

// Other programs of the account have used up the limit of inotify. The status says so, and the
// agent finds files by sweeps, and by notifications again once there is room.
func TestALimitOfInotifyIsReached(t *testing.T) {
	t.Parallel()
	for limit, says := range map[string][]string{
		"max_inotify_instances": {
			"this account has used up its inotify instances; outbox is looked through every 2 " +
				"s instead", "sysctl fs.inotify.max_user_instances=1024"},
		"max_inotify_watches": {
			"this account has used up its inotify watches; outbox is looked through every 2 s " +
				"instead", "sysctl fs.inotify.max_user_watches=65536"},
	} {
		t.Run(limit, func(t *testing.T) {
			t.Parallel()
			w, lab, centre := labInNamespace(t, limit, 0)
			lab.tells("that it is slower", append(says, "SLOWER",
				"They are taken all the same.")...)
			lab.Drop("found by looking.csv", smallFile)
			centre.Expect(lab, "found by looking.csv")
			lab.rests(0.15)
			lab.setLimit(limit, 100)
			lab.tellsNoMore("that it is slower", "SLOWER")
			lab.Drop("found by being told.csv", smallFile)
			w.Audit()
		})
	}
}

// More happens in the outbox than the system's queue holds while the agent is busy. The
// notification of a file is lost. It is found at once, though the next sweep would be tomorrow.
func TestNotificationsAreLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	centre := w.Centre("CA-RC", "fl-lab.*")
	lab := w.NewLab("FL-LAB", centre)
	edit(t, lab.config(), `sweep = "2s"`, `sweep = "24h"`)
	lab.Start()
	lab.Drop("noticed.csv", smallFile)
	centre.Expect(lab, "noticed.csv")
	kept, err := strconv.Atoi(strings.TrimSpace(read(t, "/proc/sys/fs/inotify/max_queued_events")))
	must(t, err)
	must(t, lab.Process().Signal(syscall.SIGSTOP))
	noise := lab.at("outbox", "somebody's.tmp")
	for range kept/2 + 1000 { // made and removed: two notifications
		must(t, os.WriteFile(noise, nil, 0o644))
		must(t, os.Remove(noise))
	}
	lab.MoveIn("its notification is lost.csv", smallFile)
	must(t, lab.Process().Signal(syscall.SIGCONT))
	centre.Expect(lab, "its notification is lost.csv")
	eventually(t, "it is told that notifications were lost",
		func() bool { return lab.Says("notifications were lost, so everything is looked through") })
	lab.rests(0.15)
	w.Audit()
}

// On network shares the system gives a watch and never notifies. Here an overlay stands for one:
// files in its upper folder cause no notification.
func TestTheSystemSaysNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	centre := w.Centre("CA-RC", "fl-lab.*")
	lab := w.NewLab("FL-LAB", centre)
	share := filepath.Join(w.dir, "share")
	for _, dir := range []string{lab.at("tray"), filepath.Join(share, "lower"),
		filepath.Join(share, "upper"), filepath.Join(share, "work")} {
		must(t, os.MkdirAll(dir, 0o755))
	}
	// an overlay does not lie on every file system
	if err := unix.Mount("tmpfs", share, "tmpfs", 0, ""); err != nil {
		t.Skipf("SKIPPED: mounting needs root: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(share, unix.MNT_DETACH) })
	for _, dir := range []string{"lower", "upper", "work"} {
		must(t, os.Mkdir(filepath.Join(share, dir), 0o755))
	}
	if err := unix.Mount("overlay", lab.at("tray"), "overlay", 0, fmt.Sprintf(
		"lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work", share, share, share)); err != nil {
		t.Skipf("SKIPPED: no overlay can be mounted here: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(lab.at("tray"), unix.MNT_DETACH) })
	edit(t, lab.config(), `dir = "."`, `dir = "tray"`)
	lab.Start()
	for i := range 3 {
		name := fmt.Sprintf("nobody tells of it %d.csv", i)
		must(t, os.WriteFile(filepath.Join(share, "upper", "outbox", name), []byte(name), 0o644))
		centre.Expect(lab, name)
	}
	lab.rests(0.15)
}

// Very many things that are not finished are not looked at again and again.
func TestManyUnfinishedThingsCostLittle(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	centre := w.Centre("CA-RC", "fl-lab.*")
	lab := w.NewLab("FL-LAB", centre)
	edit(t, lab.config(), `folder_settle = "1m"`, `folder_settle = "10h"`)
	edit(t, lab.config(), `sweep = "2s"`, `sweep = "20s"`)
	for i := range 6000 { // more than the finder notes
		must(t, os.Mkdir(lab.at("outbox", fmt.Sprintf("unfinished %d", i)), 0o755))
	}
	lab.Start()
	lab.Drop("finished.csv", smallFile)
	centre.Expect(lab, "finished.csv")
	lab.rests(0.4)
}
