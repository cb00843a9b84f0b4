package agent_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"sealpost/internal/id"
	"sealpost/internal/loopfs"
	"sealpost/internal/oddfs"
)

// A tray and an inbox lie on each kind of disk. docs/file-systems.md has the table of these kinds.
func TestKindsOfDisks(t *testing.T) {
	t.Parallel()
	loop := func(kind loopfs.Kind) func(t *testing.T) string {
		return func(t *testing.T) string { return loopfs.Mount(t, kind) }
	}
	odd := func(habits oddfs.Habits) func(t *testing.T) string {
		return func(t *testing.T) string { return oddfs.Mount(t, habits).Dir }
	}
	w := newWorld(t)
	for n, c := range []struct {
		name  string
		mount func(t *testing.T) string
	}{
		{"btrfs", loop(loopfs.Btrfs)}, {"xfs", loop(loopfs.XFS)}, {"tmpfs", loop(loopfs.FewInodes)},
		{"ntfs-3g", loop(loopfs.NTFS)}, {"fuse", odd(oddfs.Habits{})},
		{"clock behind", odd(oddfs.Habits{NoLeases: true, NoLinks: true, Skew: -time.Hour})},
		{"clock ahead", odd(oddfs.Habits{NoLeases: true, NoFlags: true, Skew: time.Hour,
			Granularity: 2 * time.Second})},
		{"decomposed names", odd(oddfs.Habits{NFD: true})},
	} {
		lab, centre := fmt.Sprintf("FL-LAB%d", n), fmt.Sprintf("CA-RC%d", n)
		from, to := w.Join(id.Site(lab), "send", centre), w.Join(id.Site(centre), "receive")
		w.bind(fmt.Sprintf("ca_rc%d_queue", n), fmt.Sprintf("fl-lab%d.*", n))
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // it waits more than it works
			disk := c.mount(t)
			from.T, to.T = t, t
			tray, inbox := filepath.Join(disk, "tray"), filepath.Join(disk, "inbox")
			from.Set("dir", fmt.Sprintf("%q", tray))
			from.Set("sweep", `"500ms"`)
			from.Set("folder_settle", `"1s"`)
			to.Set("dir", fmt.Sprintf("%q", inbox))
			to.Set("reserve", `"1MiB"`)
			from.Start()
			to.Start()
			defer to.Stop()
			defer from.Stop()
			outbox := filepath.Join(tray, "outbox")
			must(t, os.WriteFile(filepath.Join(outbox, "Müller.csv"), []byte("a file"), 0o644))
			must(t, os.Mkdir(filepath.Join(outbox, "run"), 0o755))
			must(t, os.WriteFile(filepath.Join(outbox, "run", "1.csv"), []byte("one"), 0o644))
			contents := map[string]string{"Müller.csv": "a file", "run/1.csv": "one"}
			for name, content := range contents {
				eventually(t, name+" has arrived", func() bool {
					text, err := os.ReadFile(filepath.Join(inbox, lab, name))
					return err == nil && string(text) == content
				})
			}
		})
	}
}
