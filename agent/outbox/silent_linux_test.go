package outbox

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sealpost/internal/reason"
	"sealpost/internal/testkit"
)

// hang mounts a file system of which no program answers, until its result is called.
func hang(t *testing.T, at string) (answer func()) {
	t.Helper()
	device, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("SKIPPED: a folder that hangs needs root and /dev/fuse: %v", err)
	}
	if err := unix.Mount("fuse", at, "fuse", 0, fmt.Sprintf(
		"fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", device.Fd())); err != nil {
		device.Close()
		t.Skipf("SKIPPED: a folder that hangs needs the right to mount: %v", err)
	}
	answer = sync.OnceFunc(func() {
		unix.Unmount(at, unix.MNT_DETACH) //nolint:errcheck // closing it suffices
		device.Close()
	})
	t.Cleanup(answer)
	return answer
}

// An agent that starts while a folder of one tray hangs reports it and serves the other tray. It
// goes on with the first one as soon as it answers.
func TestATrayThatHangsAtTheStart(t *testing.T) {
	s := newSealer(t)
	cfg := s.cfg
	cfg.Trays[0].Sweep = time.Second
	second := cfg.Trays[0]
	second.Name, second.Dir = "second", t.TempDir()
	cfg.Trays = append(cfg.Trays, second)
	answer := hang(t, s.at("outbox"))
	o, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- o.Run(ctx) }()
	put(t, filepath.Join(second.Dir, "outbox"), "served")
	testkit.Eventually(s.t, "the other tray is served", func() bool { return s.count() == 1 })
	status, err := o.Status(t.Context(), 1)
	if err != nil || status.Trays[0].NotTaken[s.tray.Dir] != reason.New("folder-silent") {
		t.Errorf("users are told %v, %v", status.Trays[0].NotTaken, err)
	}
	if left := status.Trays[0].Left(); len(left[reason.TrayBroken]) != 1 {
		t.Errorf("it is not told of a folder: %+v", left)
	}
	answer()
	put(t, s.at("outbox"), "late")
	testkit.Eventually(s.t, "it goes on", func() bool { return s.count() == 2 })
	testkit.Eventually(s.t, "users are told nothing any more", func() bool {
		status, err := o.Status(t.Context(), 1)
		return err == nil && status.Trays[0].NotTaken[s.tray.Dir].IsZero()
	})
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
