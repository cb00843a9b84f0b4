package inbox

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"sealpost/internal/oddfs"
	"sealpost/internal/reason"
)

// An inbox whose disk fails names the cause, and only one without rights asks for them.
func TestTheTroubleOfAnInboxIsNamed(t *testing.T) {
	disk := oddfs.Mount(t, oddfs.Habits{})
	b := inboxIn(t, filepath.Join(disk.Dir, "inbox"))
	check(t, unix.Mkdir(b.cfg.Dir, 0o755))
	for errno, text := range map[unix.Errno]string{
		unix.EROFS: "is read-only", unix.EDQUOT: "(quota)", unix.EIO: "is damaged",
		unix.ENOSPC: "is full", unix.EACCES: "give it the right",
	} {
		disk.Fail(oddfs.Mkdir, "", errno)
		expectUnusable(t, b, text)
		disk.Heal()
	}
	expectHome(t, b)
}

func TestTheCauseOfAReleaseIsNamed(t *testing.T) {
	b := inboxIn(t, t.TempDir())
	write := &fs.PathError{Op: "write", Path: "x", Err: unix.EFBIG}
	own := senderFolder("FL-LAB", unix.EACCES)
	for err, want := range map[error]reason.Reason{
		fmt.Errorf("content: %w", localError{write}): reason.New("too-large-for-disk"),
		localError{own}:        reason.Of(own),
		localError{errChanged}: reason.Of(errChanged),
		write:                  reason.Of(write), // not of this site's disk
	} {
		if got := b.whyReleased(err); got != want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
}
