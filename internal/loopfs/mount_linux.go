package loopfs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// recipe lists the commands that make and mount a kind. They have no quotes. IMAGE, DEVICE and DIR
// stand for the file, its loop device and the mount point.
type recipe struct {
	size   int64    // of the file; 0: none
	make   []string // the commands, in order
	device bool     // it is mounted by a loop device of its own
	below  string   // the folder to use in DIR
}

const mib = 1 << 20

var recipes = map[Kind]recipe{
	ExFAT: {size: 64 * mib, make: []string{"mkfs.exfat IMAGE", "mount -o loop -t exfat IMAGE DIR"}},
	VFAT:  {size: 64 * mib, make: []string{"mkfs.vfat IMAGE", "mount -o loop -t vfat IMAGE DIR"}},
	NTFS:  {size: 64 * mib, make: []string{"mkfs.ntfs -Q -q -F IMAGE", "ntfs-3g IMAGE DIR"}},
	Btrfs: {size: 128 * mib, make: []string{"mkfs.btrfs -q IMAGE",
		"mount -o loop -t btrfs IMAGE DIR"}},
	XFS: {size: 300 * mib, make: []string{"mkfs.xfs -q IMAGE", "mount -o loop -t xfs IMAGE DIR"}},
	ExFATFuse: {size: 64 * mib, device: true, make: []string{"mkfs.exfat IMAGE",
		"mount.exfat-fuse DEVICE DIR"}},
	NTFSFold: {size: 64 * mib, make: []string{"mkfs.ntfs -Q -q -F IMAGE",
		"lowntfs-3g -o ignore_case IMAGE DIR"}},
	FewInodes: {make: []string{
		fmt.Sprintf("mount -t tmpfs -o size=64m,nr_inodes=%d tmpfs DIR", Inodes)}},
	BtrfsQuota: {size: 128 * mib, below: "quota", make: []string{"mkfs.btrfs -q IMAGE",
		"mount -o loop -t btrfs IMAGE DIR", "btrfs quota enable DIR",
		"btrfs subvolume create DIR/quota", fmt.Sprintf("btrfs qgroup limit %d DIR/quota", Quota)}},
	Ext4Quota: {size: 64 * mib, below: "quota", make: []string{
		"mkfs.ext4 -q -O quota,project -E quotatype=prjquota IMAGE",
		"mount -o loop,prjquota -t ext4 IMAGE DIR", "mkdir DIR/quota", "chattr -p 1 +P DIR/quota",
		fmt.Sprintf("setquota -P 1 0 %d 0 %d DIR", Quota/1024, Inodes)}},
}

// Mount makes a file system of a kind, mounts it until the test ends and returns its folder.
func Mount(t testing.TB, kind Kind) string {
	t.Helper()
	dir, err := mount(t, kind)
	if err != nil {
		t.Skipf("SKIPPED: no %s can be had here: %v", kind, err)
	}
	return dir
}

// MountAny is Mount with the first of several kinds that can be had here.
func MountAny(t testing.TB, kinds ...Kind) (string, Kind) {
	t.Helper()
	var why []string
	for _, kind := range kinds {
		dir, err := mount(t, kind)
		if err == nil {
			return dir, kind
		}
		why = append(why, fmt.Sprintf("%s: %v", kind, err))
	}
	t.Skipf("SKIPPED: none of these can be had here:\n%s", strings.Join(why, "\n"))
	return "", ""
}

func mount(t testing.TB, kind Kind) (string, error) {
	t.Helper()
	r, known := recipes[kind]
	if !known {
		t.Fatalf("there is no %q", kind)
	}
	if os.Geteuid() != 0 {
		return "", fmt.Errorf("only root can mount it")
	}
	dir, image, device := t.TempDir(), filepath.Join(t.TempDir(), "image"), ""
	if r.size > 0 {
		if err := os.WriteFile(image, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(image, r.size); err != nil {
			t.Fatal(err)
		}
	}
	if r.device {
		out, err := run("losetup --find --show " + image)
		if err != nil {
			return "", err
		}
		device = out
		t.Cleanup(func() {
			if _, err := run("losetup --detach " + device); err != nil {
				t.Error(err)
			}
		})
	}
	before := len(mounts(t, dir))
	t.Cleanup(func() {
		for range len(mounts(t, dir)) - before {
			if _, err := run("umount " + dir); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for _, command := range r.make {
		command = strings.NewReplacer("IMAGE", image, "DEVICE", device, "DIR", dir).Replace(command)
		if _, err := run(command); err != nil {
			return "", err
		}
	}
	return filepath.Join(dir, r.below), nil
}

// mounts returns the lines of the table of mounts that have a folder as their mount point.
func mounts(t testing.TB, dir string) (lines []string) {
	t.Helper()
	table, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(table)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[1] == dir {
			lines = append(lines, line)
		}
	}
	return lines
}

// run runs a command and returns its output.
func run(command string) (string, error) {
	words := strings.Fields(command)
	out, err := exec.Command(words[0], words[1:]...).CombinedOutput()
	text := strings.TrimSpace(string(out))
	if err != nil {
		return "", fmt.Errorf("%s: %w %s", words[0], err, text)
	}
	return text, nil
}
