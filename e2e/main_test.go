//go:build linux

package e2e

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"sealpost/internal/testkit"
)

// patience is testkit's, for a story's own limits.
const patience = testkit.Patience

// The words of every story.
var (
	must             = testkit.Must
	eventually       = testkit.Eventually
	eventuallyWithin = testkit.EventuallyWithin
	edit             = testkit.Edit
)

// soak makes the stories longer.
var soak = os.Getenv("SEALPOST_SOAK") != ""

// program is the program under test: with the race detector if the tests have it, and with fault
// points.
var program string

// plainProgram is the program as it is released, for measurements.
var plainProgram func() (string, error)

// testProgram is this test's own program, where every account may run it.
var testProgram func() (string, error)

func TestMain(m *testing.M) {
	if os.Getenv(userEnv) != "" {
		os.Exit(serveActs(os.Stdin, os.Stdout))
	}
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "sealpost-e2e-")
	if err == nil {
		defer os.RemoveAll(dir)
		err = os.Chmod(dir, 0o755) // for agents of other accounts
	}
	if err == nil {
		// A program with the race detector sleeps for a second before it exits, which stories do a
		// thousand times.
		err = os.Setenv("GORACE", "atexit_sleep_ms=10")
	}
	if err == nil {
		program, err = build(filepath.Join(dir, "sealpost"),
			append([]string{"-tags", "faultpoints"}, testFlags...)...)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	plainProgram = sync.OnceValues(func() (string, error) {
		return build(filepath.Join(dir, "sealpost-plain"), "-trimpath")
	})
	testProgram = sync.OnceValues(func() (string, error) {
		return copyOfSelf(filepath.Join(dir, "e2e.test"))
	})
	return m.Run()
}

// build builds the program with flags. Other flags than those of `make test` and `make build` would
// compile every package once more.
func build(out string, flags ...string) (string, error) {
	args := append([]string{"build", "-buildvcs=false", "-o", out}, flags...)
	cmd := exec.Command("go", append(args, "sealpost")...)
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build sealpost: %w\n%s", err, text)
	}
	return out, nil
}

// lookAtSources makes `go test` forget a cached result when the program has changed. The cache
// depends on the files that tests read, and not on the programs that they build.
var lookAtSources = sync.OnceValue(func() error {
	return filepath.WalkDir("..", func(_ string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() && (e.Name() == ".git" || e.Name() == "bin") {
			return fs.SkipDir
		}
		return err
	})
})
