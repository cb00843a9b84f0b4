package badgerspool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"sealpost/internal/testkit"
	"sealpost/spool"
)

// smallDisk mounts a file system of its own.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("SKIPPED: a small disk needs root: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

// TestFullDisk fills a real disk by publishing: the store refuses in time, goes on settling, and
// has room again afterwards. Then another program fills the disk to the last byte.
func TestFullDisk(t *testing.T) {
	disk := smallDisk(t, "256m")
	dir := filepath.Join(disk, "spool")
	opts := Options{Reserve: 112 * mib, Floor: 72 * mib, Ballast: 16 * mib}
	s := mustOpen(t, dir, opts, realSeams())
	ctx := t.Context()
	for round := range 2 {
		n := fillUp(t, s)
		t.Logf("round %d: %d envelopes until the reserve", round, n)
		if n < 100 {
			t.Fatalf("round %d: only %d envelopes went in", round, n)
		}
		for _, queue := range []string{"ca_rc_queue", "sf_rc_queue"} {
			if err := settleAll(ctx, s, queue, n); err != nil {
				t.Fatalf("round %d: settle: %v", round, err)
			}
		}
		s.janitor.kick()
		waitForRoom(t, s)
	}
	if err := publishAny(ctx, s, testEnvelope(filler(900)), nil); err != nil {
		t.Fatal(err)
	}
	somebodyElse(t, s, disk, dir, opts)
}

func fillUp(t *testing.T, s *Spool) (n int) {
	t.Helper()
	for {
		content := filler([]int{60_000, 300_000, spool.SmallSize + 5}[n%3])
		err := publishAny(t.Context(), s, testEnvelope(content), content)
		if errors.Is(err, spool.ErrFull) {
			return n
		}
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
}

func waitForRoom(t *testing.T, s *Spool) {
	t.Helper()
	testkit.Eventually(t, "there is room again",
		func() bool { return s.admit().allows(needRoom) == nil })
}

// somebodyElse fills the disk behind the store's back.
func somebodyElse(t *testing.T, s *Spool, disk, dir string, opts Options) {
	t.Helper()
	junk := filepath.Join(disk, "junk")
	starve(t, s, junk)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// 40 MiB are too few, but there is the ballast, and the room that Badger freed at its close
	s, err := Open(dir, opts)
	if err != nil && !errors.Is(err, spool.ErrFull) {
		t.Fatalf("open on a full disk: %v", err)
	}
	if err == nil {
		s.Close()
	}
	if err := os.Remove(junk); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, dir, opts, realSeams())
	mustAudit(t, s)
	if err := settleAll(t.Context(), s, "ca_rc_queue", 1); err != nil {
		t.Fatal(err)
	}
}

// starve fills the disk until the store refuses to change anything at all.
func starve(t *testing.T, s *Spool, junk string) {
	t.Helper()
	f, err := os.Create(junk)
	must(t, err)
	defer f.Close()
	for n := range 100 { // the janitor and Badger may still give something back
		if more := s.admit().free - 40*mib; more > 0 {
			_, err := f.Write(make([]byte, more))
			must(t, err)
		}
		if _, err := s.Put(t.Context(), "site", fmt.Sprint(n), 0,
			[]byte("x")); errors.Is(err, spool.ErrFull) {
			return
		}
	}
	t.Fatal("the store goes on although the disk is below its floor")
}
