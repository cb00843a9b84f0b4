package service

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// systemdAnalyze runs systemd-analyze on a unit with an existing program, and returns its output.
func systemdAnalyze(t *testing.T, i Installation, args ...string) (string, error) {
	t.Helper()
	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("SKIPPED: systemd-analyze is not on this machine")
	}
	if i.Program, err = exec.LookPath("true"); err != nil {
		t.Fatal(err)
	}
	unit, err := Unit(i)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), i.Service()+".service")
	if err := os.WriteFile(path, []byte(unit), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(tool, append(args, path)...).CombinedOutput()
	return string(out), err
}

func analysed() map[string]Installation {
	hub := lab("/var/lib/sealpost/DC-HQ")
	hub.Kind, hub.Name = Hub, "DC-HQ"
	return map[string]Installation{
		"hub": hub, "agent": lab("/var/lib/sealpost/FL-LAB"),
		"agent with a tray elsewhere": lab("/srv/fl", "/data/the tray", "/home/ann/tray"),
	}
}

func TestSystemdHasNothingToSay(t *testing.T) {
	for name, i := range analysed() {
		t.Run(name, func(t *testing.T) {
			if out, err := systemdAnalyze(t, i, "verify", "--man=no"); err != nil ||
				strings.TrimSpace(out) != "" {
				t.Errorf("systemd-analyze verify: %v\n%s", err, out)
			}
		})
	}
}

// mostExposed is the highest figure of `systemd-analyze security` that we allow ourselves; 10 is
// the worst.
const mostExposed = 2.5

func TestExposure(t *testing.T) {
	for name, i := range analysed() {
		t.Run(name, func(t *testing.T) {
			out, err := systemdAnalyze(t, i, "security", "--offline=true", "--no-pager")
			found := regexp.MustCompile(
				`Overall exposure level for .*: ([0-9.]+)`).FindStringSubmatch(out)
			if err != nil && found == nil {
				t.Skipf("SKIPPED: systemd-analyze here is too old to look at a unit that is not "+
					"installed: %v\n%s", err, out)
			}
			exposure, err := strconv.ParseFloat(found[1], 64)
			if err != nil || exposure > mostExposed {
				t.Errorf("exposure %s, want at most %v\n%s", found[1], mostExposed, out)
			}
			t.Logf("exposure %s", found[1])
		})
	}
}
