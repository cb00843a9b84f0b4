package shares

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sealpost/internal/testkit"
)

// tests are the packages whose tests the machine runs. Its kernel has more file systems than most.
var tests = []string{"sealpost/e2e/shares", "sealpost/internal/loopfs"}

// TestInAMachine runs tests in a virtual machine. See machine.sh.
func TestInAMachine(t *testing.T) {
	if isInMachine() {
		t.Skip("this is the machine")
	}
	dir := os.Getenv("SEALPOST_SHARES")
	if _, err := os.Stat(filepath.Join(dir, "disk.img")); dir == "" || err != nil {
		t.Skip("SKIPPED: no machine; SEALPOST_SHARES names a folder of e2e/shares/machine.sh")
	}
	qemu, err := exec.LookPath("qemu-system-x86_64")
	if err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	job, disk := t.TempDir(), filepath.Join(t.TempDir(), "job.img")
	for _, pkg := range tests {
		build := exec.Command("go", "test", "-c", "-o", job, pkg)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		output(t, build)
	}
	boot, err := os.ReadFile("boot.sh")
	testkit.Must(t, err)
	testkit.Must(t, os.WriteFile(filepath.Join(job, "boot.sh"), boot, 0o755))
	output(t, exec.Command("mkfs.ext4", "-q", "-d", job, disk, "256M"))
	begun := time.Now()
	ctx, end := context.WithTimeout(t.Context(), patienceOfAll)
	defer end()
	machine := exec.CommandContext(ctx, qemu,
		"-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1536", "-nographic",
		"-no-reboot", "-nic", "none",
		"-kernel", filepath.Join(dir, "vmlinuz"), "-initrd", filepath.Join(dir, "initrd"),
		"-append", "console=ttyS0 quiet panic=-1 root=/dev/vda rw init=/bin/bash -- "+
			`-c "mount -o ro /dev/vdb /mnt && exec /mnt/boot.sh"`,
		"-drive", "if=virtio,format=raw,snapshot=on,file="+filepath.Join(dir, "disk.img"),
		"-drive", "if=virtio,format=raw,snapshot=on,file="+disk)
	said := output(t, machine)
	t.Logf("the machine ran for %s and said:\n%s", time.Since(begun).Round(time.Second), said)
	if !strings.Contains(said, "tests ended: 0") {
		t.Error("a test failed in the machine")
	}
}

// patienceOfAll is how long the machine may run. It takes two minutes when all is well.
const patienceOfAll = 20 * time.Minute

// isInMachine reports whether this process runs in the virtual machine, with its shares.
func isInMachine() bool { return os.Getenv("SEALPOST_IN_MACHINE") != "" }

func output(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd.Path, err, out)
	}
	return strings.ReplaceAll(string(out), "\r", "")
}
