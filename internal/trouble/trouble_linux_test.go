package trouble

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"sealpost/internal/durable"
	"sealpost/internal/loopfs"
	"sealpost/internal/oddfs"
	"sealpost/internal/reason"
	"sealpost/internal/testkit"
)

// Each error of the system is named by its cause, and no other is called missing rights.
func TestCauses(t *testing.T) {
	codes := map[error]reason.Code{
		unix.EXDEV: "other-disk", unix.EROFS: "disk-read-only", unix.ENOSPC: "disk-full",
		unix.EDQUOT: "over-quota", unix.EMFILE: "too-many-open-files",
		unix.ENFILE: "too-many-open-files", unix.EIO: "disk-damaged", unix.EUCLEAN: "disk-damaged",
		unix.EBADMSG: "disk-damaged", unix.ESTALE: "disk-away", unix.ETIMEDOUT: "disk-away",
		unix.EHOSTDOWN: "disk-away", unix.ENOTCONN: "disk-away", unix.EFBIG: "too-large-for-disk",
		unix.ENAMETOOLONG: "name-refused", unix.EILSEQ: "", unix.EINVAL: "",
		unix.EPERM: "not-permitted", unix.EACCES: "no-right", fs.ErrPermission: "no-right",
		durable.ErrNoSafeRename: "no-safe-rename", unix.ENOENT: "", errors.New("other"): "",
	}
	for err, want := range codes {
		for _, wrapped := range []error{err, &fs.PathError{Op: "mkdir", Path: "a/x", Err: err},
			&os.LinkError{Op: "rename", Old: "a", New: "b", Err: err},
			reason.Err("unreadable", "why", err)} {
			if got := Of(wrapped, t.TempDir()); got.Code != want {
				t.Errorf("%v: %q, want %q", wrapped, got.Code, want)
			}
		}
	}
	if got := Of(nil, ""); !got.IsZero() {
		t.Errorf("without an error: %v", got)
	}
}

// An invalid argument is about a name only if the name is an odd one.
func TestARefusedName(t *testing.T) {
	disk := oddfs.Mount(t, oddfs.Habits{ASCII: true, NameMax: 20})
	for _, name := range []string{"M\u00fcller.csv", "longer than twenty bytes"} {
		err := os.WriteFile(filepath.Join(disk.Dir, name), nil, 0o600)
		if got := Of(err, disk.Dir); got.Code != "name-refused" {
			t.Errorf("%s: %v, %q", name, err, got.Code)
		}
	}
	for name, want := range map[string]reason.Code{
		"data.csv": "", "a:b": "name-refused", "a.": "name-refused", "a ": "name-refused",
	} {
		err := &fs.PathError{Op: "create", Path: "M\u00fcller/" + name, Err: unix.EINVAL}
		if got := Of(err, ""); got.Code != want {
			t.Errorf("%q: %q", name, got.Code)
		}
	}
}

func TestADiskWithoutInodesIsNotFull(t *testing.T) {
	dir := loopfs.Mount(t, loopfs.FewInodes)
	var err error
	for i := 0; err == nil && i <= loopfs.Inodes; i++ {
		err = os.Mkdir(filepath.Join(dir, string(rune('A'+i))), 0o700)
	}
	if got := Of(err, dir); got.Code != "no-inodes" {
		t.Errorf("%v: %q", err, got.Code)
	}
	testkit.Must(t, os.Remove(filepath.Join(dir, "A")))
	testkit.Must(t, os.Remove(filepath.Join(dir, "B")))
	err = os.WriteFile(filepath.Join(dir, "large"), make([]byte, 65<<20), 0o600)
	if got := Of(err, dir); got.Code != "disk-full" {
		t.Errorf("%v: %q", err, got.Code)
	}
}
