package agent_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sealpost/agent"
)

// ontoSmallDisk moves the state folder of a site that is stopped onto a disk of its own.
func (s *site) ontoSmallDisk() {
	s.w.t.Helper()
	state := filepath.Join(s.dir, "state")
	must(s.w.t, os.Rename(state, state+".before"))
	must(s.w.t, os.Mkdir(state, 0o700))
	if err := unix.Mount("tmpfs", state, "tmpfs", 0, "size=4m,mode=0700"); err != nil {
		s.w.t.Skipf("SKIPPED: only root mounts a disk: %v", err)
	}
	s.w.t.Cleanup(func() { must(s.w.t, unix.Unmount(state, unix.MNT_DETACH)) })
	must(s.w.t, os.CopyFS(state, os.DirFS(state+".before")))
	for _, name := range []string{"sealed", "."} {
		must(s.w.t, os.Chmod(filepath.Join(state, name), 0o700))
	}
	keys, err := filepath.Glob(filepath.Join(state, "*.*"))
	must(s.w.t, err)
	for _, key := range keys {
		must(s.w.t, os.Chmod(key, 0o600))
	}
}

// fill writes to the disk of the state folder until it takes no more, and returns the way back.
func (s *site) fill() (empty func()) {
	s.w.t.Helper()
	f, err := os.Create(filepath.Join(s.dir, "state", "filler"))
	must(s.w.t, err)
	for err == nil {
		_, err = f.Write(make([]byte, 4<<10))
	}
	if !errors.Is(err, unix.ENOSPC) {
		s.w.t.Fatal(err)
	}
	must(s.w.t, f.Close())
	return func() { must(s.w.t, os.Remove(f.Name())) }
}

// The disk of the ledger is full at a start. The ledger is not called damaged, each command and
// STATUS.txt name the full disk, and the agent goes on by itself once there is room. The same holds
// for a ledger that is to be made.
func TestTheLedgersDiskIsFullAtAStart(t *testing.T) {
	t.Parallel()
	for name, ledgerIsThere := range map[string]bool{"a ledger": true, "no ledger": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, lab, centre := labAndCentre(t)
			lab.stop()
			lab.ontoSmallDisk()
			if !ledgerIsThere {
				must(t, os.Remove(filepath.Join(lab.dir, "state", "ledger.db")))
			}
			empty := lab.fill()
			lab.drop("data.csv", []byte("1;2"))
			lab.Daemon.Start() // it answers each command with an error
			eventually(t, "a command says that the disk is full", func() bool {
				err := lab.call(agent.PathStatus, agent.StatusRequest{}, nil)
				return err != nil && strings.Contains(err.Error(), "the disk is full") &&
					strings.Contains(err.Error(), "make room") &&
					!strings.Contains(err.Error(), "damaged")
			})
			eventually(t, "the status file says it", func() bool {
				text := lab.statusFile()
				return strings.Contains(text, "NO ROOM") &&
					strings.Contains(text, "goes on by itself as soon as there is room")
			})
			empty()
			if !ledgerIsThere {
				eventually(t, "it goes on", func() bool {
					return lab.call(agent.PathApprove,
						agent.ApproveRequest{Sites: []string{"CA-RC"}}, nil) == nil
				})
			}
			centre.expect("FL-LAB", "data.csv", []byte("1;2"))
			eventually(t, "the status file forgets it",
				func() bool { return !strings.Contains(lab.statusFile(), "NO ROOM") })
		})
	}
}

// A file and a folder that the disk of an inbox can never hold are refused. They are not tried for
// ever, and others arrive.
func TestAnInboxThatIsTooSmall(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	centre := w.site(w.Join("CA-RC", "receive"))
	centre.set("reserve", `"1MiB"`)
	inbox := filepath.Join(centre.dir, "inbox")
	must(t, os.MkdirAll(inbox, 0o750))
	if err := unix.Mount("tmpfs", inbox, "tmpfs", 0, "size=12m,nr_inodes=3000"); err != nil {
		t.Skipf("SKIPPED: only root mounts a disk: %v", err)
	}
	t.Cleanup(func() { must(t, unix.Unmount(inbox, unix.MNT_DETACH)) })
	centre.start()
	w.bind("ca_rc_queue", "fl-lab.*")
	lab := w.join("FL-LAB", "send", "CA-RC")
	lab.drop("large", random(14<<20))
	folder := filepath.Join(lab.dir, "many")
	must(t, os.Mkdir(folder, 0o750))
	for n := range 5000 {
		must(t, os.WriteFile(filepath.Join(folder, strconv.Itoa(n)), nil, 0o640))
	}
	must(t, os.Rename(folder, filepath.Join(lab.dir, "outbox", "many")))
	lab.drop("small", []byte("small"))
	centre.expect("FL-LAB", "small", []byte("small"))
	var whys []string
	eventually(t, "both have failed", func() bool {
		whys, _ = filepath.Glob(filepath.Join(lab.dir, "failed", "*", "WHY.txt"))
		return len(whys) == 2
	})
	details := ""
	for _, r := range centre.status().Inbox.Refused {
		details += r.Detail.String() + "\n"
	}
	if !strings.Contains(details, "use a larger disk") ||
		!strings.Contains(details, "more files and folders than the volume has inodes for") {
		t.Errorf("refused for\n%s", details)
	}
	for _, why := range whys {
		text, err := os.ReadFile(why)
		must(t, err)
		if !strings.Contains(string(text), "larger than the disk of the inbox") {
			t.Errorf("%s is %s", why, text)
		}
	}
}
