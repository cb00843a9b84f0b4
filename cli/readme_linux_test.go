package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"sealpost/config"
)

// The walk-through of the README works: its lines are run as they stand, on a free port. A daemon's
// line runs in the background; any other is repeated until it succeeds.
func TestReadmeWalkThrough(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(readme), -1)
	if len(blocks) != 5 {
		t.Fatalf("%d blocks of commands, want 5", len(blocks))
	}
	terminal := &terminal{t: t, dir: t.TempDir()}
	port := freePort(t)
	for _, block := range blocks {
		for line := range strings.Lines(block[1]) {
			terminal.enter(strings.ReplaceAll(strings.TrimSpace(line), "7443", port))
		}
	}
	expectFile(t, filepath.Join(terminal.dir, "centre", "inbox", "FL-LAB", "data.csv"), "a,b,c\n")
	if !strings.Contains(terminal.last, "delivered") {
		t.Errorf("the last command says:\n%s", terminal.last)
	}
}

// terminal runs lines in a shell, in one folder.
type terminal struct {
	t    *testing.T
	dir  string
	last string // the output of the last command
}

func (s *terminal) shell(line string) *exec.Cmd {
	cmd := exec.CommandContext(s.t.Context(), "sh", "-c", "exec "+line)
	if strings.HasPrefix(line, "echo") {
		cmd = exec.CommandContext(s.t.Context(), "sh", "-c", line)
	}
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	return cmd
}

func (s *terminal) enter(line string) {
	s.t.Helper()
	if regexp.MustCompile(`^sealpost (hub|agent) run `).MatchString(line) {
		s.background(line)
		return
	}
	deadline := time.Now().Add(time.Minute)
	for {
		out, err := s.shell(line).CombinedOutput()
		s.last = string(out)
		if err == nil {
			s.modest(line)
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%s: %v\n%s", line, err, out)
		}
	}
}

// modest lowers the needs of the network for a test machine's disk that is nearly full. README
// names the needs of the defaults.
func (s *terminal) modest(line string) {
	s.t.Helper()
	if strings.HasPrefix(line, "sealpost hub init") {
		path := config.HubFile(filepath.Join(s.dir, "hq"))
		cfg, err := config.LoadHub(path)
		if err != nil {
			s.t.Fatal(err)
		}
		cfg.Spool.Reserve, cfg.Spool.Floor = 256<<20, 128<<20
		if err := config.WriteHub(path, cfg); err != nil {
			s.t.Fatal(err)
		}
	}
	if strings.HasPrefix(line, "sealpost agent join CA-RC.join") {
		path := config.AgentFile(filepath.Join(s.dir, "centre"))
		cfg, err := config.LoadAgent(path)
		if err != nil {
			s.t.Fatal(err)
		}
		cfg.Inbox.Reserve = 64 << 20
		if err := config.WriteAgent(path, cfg); err != nil {
			s.t.Fatal(err)
		}
	}
}

// background starts a daemon that ends in good order with the test.
func (s *terminal) background(line string) {
	s.t.Helper()
	var said strings.Builder
	cmd := s.shell(line)
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.WaitDelay = 30 * time.Second
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { // the test's context has ended
		if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 0 {
			s.t.Errorf("%s: %v\n%s", line, err, said.String())
		}
	})
}

func expectFile(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s holds %q, want %q", path, got, want)
	}
}
