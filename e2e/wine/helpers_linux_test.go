package wine

import (
	"bytes"
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits until what holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen: " + what)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// build builds a program with fault points for another system.
func build(t *testing.T, goos, program string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), filepath.Base(program)+".exe")
	cmd := exec.Command("go", "build", "-buildvcs=false", "-tags", "faultpoints", "-o", out, program)
	cmd.Env = append(os.Environ(), "GOOS="+goos, "CGO_ENABLED=0", "GOFLAGS=-trimpath")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s for %s: %v\n%s", program, goos, err, text)
	}
	return out
}

// edit replaces pairs of texts in a configuration file.
func edit(t *testing.T, path string, pairs ...string) {
	t.Helper()
	text, err := os.ReadFile(path)
	must(t, err)
	for i := 0; i < len(pairs); i += 2 {
		if !bytes.Contains(text, []byte(pairs[i])) {
			t.Fatalf("%s has no %q", path, pairs[i])
		}
		text = bytes.ReplaceAll(text, []byte(pairs[i]), []byte(pairs[i+1]))
	}
	must(t, os.WriteFile(path, text, 0o600))
}

// drop writes files of random content, each through a name that sealpost leaves alone, and returns what they are.
func drop(t *testing.T, dir string, size int, names ...string) {
	t.Helper()
	for _, name := range names {
		content := make([]byte, size)
		rand.Read(content)
		path := filepath.Join(dir, filepath.FromSlash(name))
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path+".tmp", content, 0o644))
		must(t, os.Rename(path+".tmp", path))
	}
}
