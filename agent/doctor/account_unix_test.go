//go:build unix

package doctor

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestAnotherAccountsFolderIsSaid(t *testing.T) {
	o := lab(t)
	if list := account(t.Context(), o); len(list) != 0 {
		t.Errorf("of its own folder it says %+v", list)
	}
	if err := os.Chown(o.Config.State, 12345, -1); err != nil {
		t.Skip("SKIPPED: only root may give a folder away")
	}
	list := account(t.Context(), o)
	if len(list) != 1 || list[0].Level != Warn || list[0].Do.IsZero() {
		t.Errorf("of another account's folder it says %+v", list)
	}
}

// asAnother names the state folder for a second run of a test, under another account.
const asAnother = "SEALPOST_DOCTOR_STATE"

// An account without the agent's rights gets one finding, with the command to run.
func TestAnotherAccountIsToldOnce(t *testing.T) {
	if state := os.Getenv(asAnother); state != "" {
		o := Options{Dir: "DIR"}
		o.Config.State = state
		found := []Finding{}
		whole := Examine(t.Context(), o, func(f Finding) { found = append(found, f) })
		if whole || len(found) != 1 || found[0].Level != Fail {
			t.Fatalf("got %v, %+v", whole, found)
		}
		const command = "sudo -u root sealpost agent doctor --dir DIR"
		if f := found[0]; !strings.Contains(f.Do.String(), command) {
			t.Fatalf("got %+v", f)
		}
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root may run something as another account")
	}
	dir, err := os.MkdirTemp("", "doctor")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	self, err := os.Executable()
	must(t, err)
	program, err := os.ReadFile(self)
	must(t, err)
	at := filepath.Join(dir, "doctor.test")
	must(t, os.WriteFile(at, program, 0o755))
	must(t, os.Mkdir(filepath.Join(dir, "state"), 0o700))
	cmd := exec.CommandContext(t.Context(), at, "-test.run", "^"+t.Name()+"$")
	cmd.Dir = dir
	cmd.Env = []string{asAnother + "=" + filepath.Join(dir, "state"), "GORACE=atexit_sleep_ms=0"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 12345, Gid: 12345}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
