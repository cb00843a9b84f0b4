package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"sealpost/config"
)

// Another account learns that it is not the owner, without the internals of the check.
func TestAnotherAccount(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root may run something as another account")
	}
	dir, err := os.MkdirTemp("", "account")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	cfg := config.DefaultAgent()
	cfg.Site, cfg.Role, cfg.Hub, cfg.Network = "CA-RC", config.RoleReceive, []string{"127.0.0.1:1"},
		strings.Repeat("0", 64)
	for _, err := range []error{
		os.Chmod(dir, 0o755),
		os.WriteFile(filepath.Join(dir, "sealpost"), program, 0o755),
		os.Mkdir(filepath.Join(dir, "state"), 0o700),
		config.WriteAgent(config.AgentFile(dir), cfg),
		os.Chmod(config.AgentFile(dir), 0o644),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for line, want := range map[string]string{
		"agent run": "this account may not use " + filepath.Join(dir, "state") +
			": run the command as the account to which that folder belongs",
		"agent status": "you may not ask this daemon; run the command as the user under whom " +
			"it runs: ",
	} {
		cmd := exec.CommandContext(t.Context(), filepath.Join(dir, "sealpost"),
			append(strings.Fields(line), "--dir", dir)...)
		cmd.Dir, cmd.Env = dir, []string{"GORACE=atexit_sleep_ms=0"}
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Credential: &syscall.Credential{Uid: 12345, Gid: 12345}}
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), want) ||
			strings.Contains(string(out), "http://") {
			t.Errorf("%s says %v:\n%s", line, err, out)
		}
	}
}
