package wine

import (
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"sealpost/internal/testkit"
)

// The words of every story.
var (
	must       = testkit.Must
	eventually = testkit.Eventually
	edit       = testkit.Edit
)

// build builds a program with fault points for another system.
func build(t *testing.T, goos, program string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), filepath.Base(program)+".exe")
	cmd := exec.Command("go", "build", "-buildvcs=false", "-tags", "faultpoints", "-o", out,
		program)
	cmd.Env = append(os.Environ(), "GOOS="+goos, "CGO_ENABLED=0", "GOFLAGS=-trimpath")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s for %s: %v\n%s", program, goos, err, text)
	}
	return out
}

// drop writes files of random content, each through a name that sealpost leaves alone.
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
