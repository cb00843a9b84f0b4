package loopfs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// recipe lists the commands that make and mount a kind. They have no quotes. DEVICE and DIR stand
// for a loop device and the mount point.
type recipe struct {
	size  int64 // of the device in bytes; 0: none
	make  []string
	below string // the folder to use in DIR
}

const mib = 1 << 20

var recipes = map[Kind]recipe{
	ExFAT: {size: 64 * mib, make: []string{"mkfs.exfat DEVICE", "mount -t exfat DEVICE DIR"}},
	VFAT:  {size: 64 * mib, make: []string{"mkfs.vfat DEVICE", "mount -t vfat DEVICE DIR"}},
	NTFS:  {size: 64 * mib, make: []string{"mkfs.ntfs -Q -q DEVICE", "ntfs-3g DEVICE DIR"}},
	Btrfs: {size: 128 * mib, make: []string{"mkfs.btrfs -q DEVICE", "mount -t btrfs DEVICE DIR"}},
	XFS:   {size: 300 * mib, make: []string{"mkfs.xfs -q DEVICE", "mount -t xfs DEVICE DIR"}},
	ExFATFuse: {size: 64 * mib, make: []string{"mkfs.exfat DEVICE",
		"mount.exfat-fuse DEVICE DIR"}},
	NTFSFold: {size: 64 * mib, make: []string{"mkfs.ntfs -Q -q DEVICE",
		"lowntfs-3g -o ignore_case DEVICE DIR"}},
	FewInodes: {make: []string{
		fmt.Sprintf("mount -t tmpfs -o size=64m,nr_inodes=%d tmpfs DIR", Inodes)}},
	BtrfsQuota: {size: 128 * mib, below: "quota", make: []string{"mkfs.btrfs -q DEVICE",
		"mount -t btrfs DEVICE DIR", "btrfs quota enable DIR",
		"btrfs subvolume create DIR/quota", fmt.Sprintf("btrfs qgroup limit %d DIR/quota", Quota)}},
	Ext4Quota: {size: 64 * mib, below: "quota", make: []string{
		"mkfs.ext4 -q -O quota,project -E quotatype=prjquota DEVICE",
		"mount -o prjquota -t ext4 DEVICE DIR", "mkdir DIR/quota", "chattr -p 1 +P DIR/quota",
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
	dir, device := t.TempDir(), ""
	if r.size > 0 {
		image := filepath.Join(t.TempDir(), "image")
		if err := os.WriteFile(image, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(image, r.size); err != nil {
			t.Fatal(err)
		}
		var err error
		if device, err = run("losetup --find --show " + image); err != nil {
			return "", err
		}
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
		command = strings.NewReplacer("DEVICE", device, "DIR", dir).Replace(command)
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
