package systemd

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// story.sh runs a hub and two agents as services, in namespaces with systemd as process 1.
func TestServicesUnderSystemd(t *testing.T) {
	if os.Getenv("SEALPOST_SYSTEMD") == "" {
		t.Skip("SKIPPED: takes minutes and needs root; run: make services")
	}
	needs(t, "unshare", "pivot_root", "ip", "dpkg-deb", "dpkg", "adduser", "man", "runuser", "make")
	if _, err := os.Stat("/lib/systemd/systemd"); err != nil {
		t.Skip("SKIPPED: no systemd on this machine")
	}
	namespaces := []string{"-m", "-p", "-f", "-C", "-u", "-i", "-n", "--kill-child"}
	mount := append(namespaces, "mount", "-t", "tmpfs", "try", "/mnt")
	if out, err := exec.Command("unshare", mount...).CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: this machine gives no namespaces of their own: %v\n%s", err, out)
	}
	shared := t.TempDir()
	for name, version := range map[string]string{"old.deb": "0.0.1", "new.deb": "0.0.2"} {
		move(t, makeDeb(t, version), filepath.Join(shared, name))
	}
	story, err := os.ReadFile("story.sh")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(shared, "story.sh"), story, 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	machine := exec.CommandContext(ctx, "unshare", append(namespaces, "bash", "boot.sh", shared)...)
	out, err := machine.CombinedOutput()
	said, _ := os.ReadFile(filepath.Join(shared, "said")) // empty when it did not come so far
	if _, missing := os.Stat(filepath.Join(shared, "done")); missing != nil {
		t.Fatalf("the story has not come to its end: %v\n%s\n%s", err, out, said)
	}
	for line := range strings.Lines(string(said)) {
		if strings.HasPrefix(line, "==") || strings.Contains(line, "serves again after") {
			t.Log(strings.TrimSpace(line))
		}
	}
}

func needs(t *testing.T, programs ...string) {
	t.Helper()
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("SKIPPED: %s is not on this machine", program)
		}
	}
}

// makeDeb makes a package of this tree and returns its path.
func makeDeb(t *testing.T, version string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "make", "-C", "../..", "deb", "DEB_VERSION="+version)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("make deb: %v\n%s", err, out)
	}
	found, err := filepath.Glob("../../bin/sealpost_" + version + "_*.deb")
	if err != nil || len(found) != 1 {
		t.Fatalf("make deb made %v\n%s", found, out)
	}
	return found[0]
}

func move(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(from); err != nil {
		t.Fatal(err)
	}
}
