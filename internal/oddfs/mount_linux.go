package oddfs

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Disk is a mounted file system.
type Disk struct {
	Dir  string // the mount point
	Back string // the folder that it shows

	t       testing.TB
	habits  Habits
	server  *exec.Cmd
	changes io.WriteCloser // one Habits as JSON in a line
	answers *bufio.Reader  // one line for each
	said    strings.Builder
}

// Mount mounts an empty folder with habits until the test ends. It skips the test where the system
// or the rights of the account do not allow that.
func Mount(t testing.TB, habits Habits) *Disk {
	t.Helper()
	if f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0); err != nil {
		t.Skipf("SKIPPED: no file system can be mounted here: %v", err)
	} else {
		f.Close()
	}
	d := &Disk{Dir: t.TempDir(), Back: t.TempDir(), t: t}
	d.start()
	if answer, err := d.answers.ReadString('\n'); err != nil || answer != mounted {
		d.stop()
		t.Skipf("SKIPPED: no file system can be mounted here: %s%s", answer, d.said.String())
	}
	t.Cleanup(d.stop)
	d.Set(habits)
	return d
}

// start starts the server. It ends with its standard input, and so with this process.
func (d *Disk) start() {
	d.t.Helper()
	args := []string{"run"}
	if withRace {
		args = append(args, "-race")
	}
	d.server = exec.Command("go", append(args, "sealpost/internal/oddfs/serve", d.Back, d.Dir)...)
	d.server.Stderr = &d.said
	changes, err := d.server.StdinPipe()
	if err != nil {
		d.t.Fatal(err)
	}
	answers, err := d.server.StdoutPipe()
	if err != nil {
		d.t.Fatal(err)
	}
	d.changes, d.answers = changes, bufio.NewReader(answers)
	if err := d.server.Start(); err != nil {
		d.t.Fatal(err)
	}
}

// stop ends the server, which unmounts. Should it have crashed, the dead mount is removed here.
func (d *Disk) stop() {
	d.changes.Close() //nolint:errcheck // the server may be gone
	if err := d.server.Wait(); err != nil {
		d.t.Errorf("oddfs: %v\n%s", err, d.said.String())
	}
	unmount(d.Dir) //nolint:errcheck // mostly nothing is mounted any more
}

// unmount removes a mount at once, whatever hangs in it.
func unmount(dir string) error {
	err := unix.Unmount(dir, unix.MNT_DETACH)
	if errors.Is(err, unix.EPERM) {
		return exec.Command("fusermount3", "-u", "-z", "-q", dir).Run()
	}
	return err
}

// Set gives the disk other habits. Faults that they do not have are lifted.
func (d *Disk) Set(habits Habits) {
	d.t.Helper()
	d.habits = habits
	d.habits.Faults = slices.Clone(habits.Faults)
	line, err := json.Marshal(habits)
	if err != nil {
		d.t.Fatal(err)
	}
	if _, err := fmt.Fprintf(d.changes, "%s\n", line); err != nil {
		d.t.Fatalf("oddfs: %v\n%s", err, d.said.String())
	}
	if answer, err := d.answers.ReadString('\n'); err != nil || answer != changed {
		d.t.Fatalf("oddfs: %q %v\n%s", answer, err, d.said.String())
	}
}

// Fail adds a fault.
func (d *Disk) Fail(on Op, name string, errno unix.Errno) {
	d.t.Helper()
	d.habits.Faults = append(d.habits.Faults, Fault{On: on, Name: name, Errno: errno})
	d.Set(d.habits)
}

// Hang has operations hang until Heal, or until their process is killed.
func (d *Disk) Hang(on Op) {
	d.t.Helper()
	d.Fail(on, "", 0)
}

// Heal lifts all faults, and keeps the other habits.
func (d *Disk) Heal() {
	d.t.Helper()
	d.habits.Faults = nil
	d.Set(d.habits)
}
