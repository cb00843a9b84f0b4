package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"sealpost/internal/control"
	"sealpost/internal/service"
	"sealpost/internal/testkit"
)

// TestMain makes this test binary a sealpost as well, which the scripts and stories run.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"sealpost": func() {
			os.Exit(Main(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
		},
	})
}

// Each script in testdata/script is a session at a terminal.
func TestScripts(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("SKIPPED: the scripts set up hubs, which run on Linux; e2e/wine has the agent's " +
			"commands")
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PORT", freePort(t))
			env.Setenv("TZ", "UTC")
			// a command that found no race need not wait a second at its end
			env.Setenv("GORACE", "atexit_sleep_ms=0")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":   command(exits),
			"answers": command(answers),
		},
	})
}

// command makes a command of scripts that has no negation.
func command(do func(*testscript.TestScript, []string)) func(*testscript.TestScript, bool,
	[]string) {
	return func(ts *testscript.TestScript, _ bool, args []string) { do(ts, args) }
}

// exits runs a command that must end with the given exit code: exits 2 sealpost hub ini
func exits(ts *testscript.TestScript, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// answers repeats a command until it succeeds: answers sealpost hub status
func answers(ts *testscript.TestScript, args []string) {
	deadline := time.Now().Add(time.Minute)
	for {
		err := ts.Exec(args[0], args[1:]...)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("no success within a minute: %v", err)
		}
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	_, port, err := net.SplitHostPort(testkit.FreeAddress(t))
	testkit.Must(t, err)
	return port
}

func TestExitCodes(t *testing.T) {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	why := errors.New("why")
	asked := fmt.Errorf("ask: %w", context.Canceled)
	for name, c := range map[string]struct {
		ctx  context.Context
		err  error
		want int
	}{
		"failed":                      {t.Context(), why, 1},
		"usage":                       {t.Context(), fmt.Errorf("x: %w", &usageError{why}), 2},
		"not running":                 {t.Context(), fmt.Errorf("x: %w", control.ErrNotRunning), 3},
		"displaced":                   {t.Context(), fmt.Errorf("x: %w", service.ErrDisplaced), 4},
		"interrupted while waiting":   {ended, interrupted{why}, 5},
		"interrupted while asking":    {ended, asked, 5},
		"a failure of the other end":  {t.Context(), asked, 1},
		"failed before the interrupt": {ended, why, 1},
		"timed out":                   {t.Context(), timedOut{why}, 6},
		"not delivered":               {t.Context(), notDelivered{why}, 7},
		"sent before":                 {t.Context(), repeated{why}, 8},
		"printed, and not delivered":  {t.Context(), errors.Join(nil, notDelivered{why}), 7},
	} {
		if got := exitCode(c.ctx, c.err); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
