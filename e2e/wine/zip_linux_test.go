package wine

import (
	"archive/zip"
	"debug/pe"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// An admin on Windows gets the program, instructions for a service, an example and the licences.
func TestZip(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: builds the zip")
	}
	for _, program := range []string{"make", "git"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("SKIPPED: %s is not on this machine", program)
		}
	}
	build := exec.CommandContext(t.Context(), "make", "-C", "../..", "zip", "DEB_VERSION=0.0.4")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("make zip: %v\n%s", err, out)
	}
	made, err := filepath.Glob("../../bin/sealpost_0.0.4_windows_*.zip")
	if err != nil || len(made) != 1 {
		t.Fatalf("make zip made %v, %v", made, err)
	}
	t.Cleanup(func() { os.Remove(made[0]) })
	archive, err := zip.OpenReader(made[0])
	must(t, err)
	defer archive.Close()
	for name, says := range map[string]string{
		"sealpost.exe": "", "services.md": "sealpost agent install --dir C:\\ProgramData",
		"agent.example.toml": "[outbox]",
		"LICENSE":            "Apache License", "third-party-licences.txt": "modernc.org/sqlite",
	} {
		f, err := archive.Open(name)
		must(t, err)
		text, err := io.ReadAll(f)
		must(t, err)
		if !strings.Contains(string(text), says) {
			t.Errorf("%s does not say %q", name, says)
		}
		if name == "sealpost.exe" {
			if _, err := pe.NewFile(strings.NewReader(string(text))); err != nil {
				t.Errorf("%s is no program for Windows: %v", name, err)
			}
		}
	}
	if len(archive.File) != 5 {
		t.Errorf("the zip has %d files", len(archive.File))
	}
}
