package loopfs

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Each kind takes files, and has the limit that it is there for.
func TestKinds(t *testing.T) {
	types := map[Kind]string{ExFAT: "exfat", ExFATFuse: "fuseblk", VFAT: "vfat", NTFS: "fuseblk",
		NTFSFold: "fuseblk", Btrfs: "btrfs", XFS: "xfs", FewInodes: "tmpfs", BtrfsQuota: "btrfs",
		Ext4Quota: "ext4"}
	limits := map[Kind]func(t *testing.T, dir string){
		ExFAT: foldsCase, VFAT: foldsCase, NTFSFold: foldsCase, FewInodes: runsOutOfInodes,
		BtrfsQuota: func(t *testing.T, dir string) {
			err := fill(filepath.Join(dir, "large"))
			if !errors.Is(err, unix.EDQUOT) {
				t.Errorf("filled: %v", err)
			}
		},
		ExFATFuse: func(t *testing.T, dir string) {
			foldsCase(t, dir)
			old, new := filepath.Join(dir, "file"), filepath.Join(dir, "file2")
			err := os.Link(old, new)
			if !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.ENOSYS) {
				t.Errorf("a hard link: %v", err)
			}
			cwd := unix.AT_FDCWD
			err = unix.Renameat2(cwd, old, cwd, new, unix.RENAME_NOREPLACE)
			if !errors.Is(err, unix.EINVAL) {
				t.Errorf("a rename without replacing: %v", err)
			}
		},
		Ext4Quota: func(t *testing.T, dir string) {
			dd := exec.Command("setpriv", "--bounding-set=-sys_resource", "dd", "if=/dev/zero",
				"of="+dir+"/large", "bs=1M", fmt.Sprintf("count=%d", 2*Quota>>20))
			if out, err := dd.CombinedOutput(); !strings.Contains(string(out), "quota") {
				t.Errorf("filled: %v: %s", err, out)
			}
		},
	}
	for kind := range recipes {
		t.Run(string(kind), func(t *testing.T) {
			dir := Mount(t, kind)
			file := filepath.Join(dir, "file")
			if err := os.WriteFile(file, []byte("content"), 0o600); err != nil {
				t.Fatal(err)
			}
			if text, err := os.ReadFile(file); string(text) != "content" {
				t.Errorf("it has %q, %v", text, err)
			}
			top := strings.TrimSuffix(dir, "/quota")
			if lines := mounts(t, top); strings.Fields(lines[0])[2] != types[kind] {
				t.Errorf("it is mounted as %s", lines[0])
			}
			if limit := limits[kind]; limit != nil {
				limit(t, dir)
			}
		})
	}
}

func foldsCase(t *testing.T, dir string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(dir, "FILE")); err != nil {
		t.Errorf("with other letters: %v", err)
	}
}

func runsOutOfInodes(t *testing.T, dir string) {
	t.Helper()
	for i := range Inodes + 1 {
		err := os.Mkdir(filepath.Join(dir, fmt.Sprint(i)), 0o700)
		if errors.Is(err, unix.ENOSPC) && i > Inodes/2 {
			return
		}
		if err != nil {
			t.Fatalf("folder %d: %v", i, err)
		}
	}
	t.Error("it has more inodes")
}

// fill writes twice the quota.
func fill(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	for range 2 * Quota / mib {
		if _, err := f.Write(make([]byte, mib)); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return errors.Join(f.Sync(), f.Close())
}

func TestNothingStaysMounted(t *testing.T) {
	var dir string
	t.Run("a test", func(t *testing.T) { dir, _ = MountAny(t, XFS, Btrfs, FewInodes) })
	if dir != "" && len(mounts(t, dir)) > 0 {
		t.Errorf("%s is mounted", dir)
	}
}
