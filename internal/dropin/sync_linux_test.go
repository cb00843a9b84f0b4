package dropin

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestSyncBeforeName checks the order of a copy's system calls: its content is durable before it
// has its name.
func TestSyncBeforeName(t *testing.T) {
	if source := os.Getenv("DROPIN_SOURCE"); source != "" { // traced
		f, err := Open(os.Getenv("DROPIN_FOLDER"), "")
		if err == nil {
			_, err = f.Copy(t.Context(), source, func(int) {})
		}
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("SKIPPED: strace is not installed")
	}
	dir := t.TempDir()
	for _, source := range []string{"file.csv", "folder"} {
		path := filepath.Join(dir, source)
		if source == "folder" {
			path = filepath.Join(path, "inside.csv")
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("content"), 0o644); err != nil {
			t.Fatal(err)
		}
		trace := filepath.Join(dir, source+".trace")
		cmd := exec.Command(strace, "-f", "-o", trace,
			"-e", "trace=fsync,fdatasync,syncfs,renameat2",
			os.Args[0], "-test.run=^TestSyncBeforeName$")
		cmd.Env = append(os.Environ(), "DROPIN_SOURCE="+filepath.Join(dir, source),
			"DROPIN_FOLDER="+t.TempDir())
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		text, err := os.ReadFile(trace)
		if err != nil {
			t.Fatal(err)
		}
		calls := strings.Split(string(text), "\n")
		named := slices.IndexFunc(calls, func(call string) bool {
			return strings.Contains(call, "renameat2(")
		})
		before := 0
		for _, call := range calls[:max(named, 0)] {
			before += strings.Count(call, "sync(") + strings.Count(call, "syncfs(")
		}
		if named < 0 || before == 0 {
			t.Errorf("%s gets its name before it is synced:\n%s", source, text)
		}
	}
}
