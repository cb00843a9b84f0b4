package cli

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// blocksIn returns the matches of a pattern in a document.
func blocksIn(t *testing.T, document, pattern string) [][]string {
	t.Helper()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile(pattern).FindAllStringSubmatch(string(text), -1)
}

// terminal runs lines of documents in a shell, in one folder.
type terminal struct {
	t       *testing.T
	dir     string
	env     []string
	last    string // the output of the last command
	daemons []*daemon
}

// daemon is a command in the background.
type daemon struct {
	line   string
	cmd    *exec.Cmd
	killed bool
}

func (s *terminal) command(line string) *exec.Cmd {
	cmd := exec.CommandContext(s.t.Context(), "sh", "-c", line)
	cmd.Dir = s.dir
	cmd.Env = append(append(os.Environ(), "GORACE=atexit_sleep_ms=0"), s.env...)
	return cmd
}

var daemonLine = regexp.MustCompile(`^sealpost (hub|agent) run `)

// enter starts a daemon in the background, and repeats any other command until it succeeds.
func (s *terminal) enter(line string) {
	s.t.Helper()
	if daemonLine.MatchString(line) {
		s.background(line)
		return
	}
	deadline := time.Now().Add(time.Minute)
	for {
		out, err := s.command(line).CombinedOutput()
		s.last = string(out)
		if err == nil {
			s.modest()
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%s: %v\n%s", line, err, out)
		}
		time.Sleep(100 * time.Millisecond) // a user is slower
	}
}

// modest lowers the needs of the network for a test machine's disk that is nearly full. The
// documents name the needs of the defaults.
func (s *terminal) modest() {
	s.t.Helper()
	files, err := filepath.Glob(filepath.Join(s.dir, "*", "*.toml"))
	for _, file := range files {
		text, failed := os.ReadFile(file)
		if failed == nil {
			less := bytes.ReplaceAll(text, []byte(` = "5GiB"`), []byte(` = "256MiB"`))
			less = bytes.ReplaceAll(less, []byte(` = "1GiB"`), []byte(` = "64MiB"`))
			if !bytes.Equal(less, text) { // otherwise a daemon may be reading it
				failed = os.WriteFile(file, less, 0o600)
			}
		}
		if failed != nil {
			err = failed
		}
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// background starts a daemon that ends in good order with the test.
func (s *terminal) background(line string) {
	s.t.Helper()
	var said bytes.Buffer
	d := &daemon{line: line, cmd: s.command("exec " + line)}
	d.cmd.Stdout, d.cmd.Stderr = &said, &said
	d.cmd.WaitDelay = 30 * time.Second
	d.cmd.Cancel = func() error { return d.cmd.Process.Signal(os.Interrupt) }
	if err := d.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.daemons = append(s.daemons, d)
	s.t.Cleanup(func() { // the test's context has ended
		if d.killed {
			return
		}
		if err := d.cmd.Wait(); d.cmd.ProcessState.ExitCode() != 0 {
			s.t.Errorf("%s: %v\n%s", line, err, said.String())
		}
	})
}

// kill kills the daemons whose lines begin with a text.
func (s *terminal) kill(start string) {
	s.t.Helper()
	for _, d := range s.daemons {
		if !d.killed && strings.HasPrefix(d.line, start) {
			if err := d.cmd.Process.Kill(); err != nil {
				s.t.Fatal(err)
			}
			d.cmd.Wait() //nolint:errcheck // it was killed
			d.killed = true
		}
	}
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
