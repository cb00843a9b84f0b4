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

// The commands in docs/for-admins.md work as they stand there: every line of its sh blocks is run,
// in order. Only the values of its first block differ. A daemon's line runs in the background; any
// other is repeated until it succeeds.
func TestAdminsDocument(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/for-admins.md")
	if err != nil {
		t.Fatal(err)
	}
	parts := regexp.MustCompile("(?s)```sh\n(.*?)```|<!-- test: (.*?) -->").FindAllStringSubmatch(
		string(text), -1)
	if len(parts) < 12 {
		t.Fatalf("%d blocks of commands are found", len(parts))
	}
	a := &admin{t: t, dir: t.TempDir(), values: map[string]string{}}
	a.choose(parts[0][1])
	for _, part := range parts[1:] {
		if part[2] != "" {
			a.happens(part[2])
		}
		for line := range strings.Lines(part[1]) {
			a.enter(strings.TrimSpace(line))
		}
	}
	if !strings.Contains(a.last, "CA-RC") || !strings.Contains(a.last, "joined") {
		t.Errorf("at the end the hub's sites are:\n%s", a.last)
	}
	a.end()
}

// admin is a user at a terminal.
type admin struct {
	t       *testing.T
	dir     string
	values  map[string]string // of the first block, replaced
	last    string            // the output of the last command
	daemons []*background
}

type background struct {
	line string
	cmd  *exec.Cmd
	said *bytes.Buffer
}

// choose replaces the values of the first block: ports and folders.
func (a *admin) choose(block string) {
	for line := range strings.Lines(block) {
		name, _, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok {
			a.t.Fatalf("the first block holds %q", line)
		}
		a.values[name] = filepath.Join(a.dir, strings.ToLower(name))
	}
	a.values["HOST"], a.values["PORT"] = "127.0.0.1", freePort(a.t)
}

func (a *admin) command(line string) *exec.Cmd {
	cmd := exec.CommandContext(a.t.Context(), "sh", "-c", line)
	cmd.Dir = a.dir
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	for name, value := range a.values {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.WaitDelay = 30 * time.Second
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	return cmd
}

func (a *admin) enter(line string) {
	a.t.Helper()
	if line == "" {
		return
	}
	if regexp.MustCompile(`^sealpost (hub|agent) run `).MatchString(line) {
		d := &background{line: line, cmd: a.command("exec " + line), said: &bytes.Buffer{}}
		d.cmd.Stdout, d.cmd.Stderr = d.said, d.said
		if err := d.cmd.Start(); err != nil {
			a.t.Fatal(err)
		}
		a.daemons = append(a.daemons, d)
		return
	}
	deadline := time.Now().Add(time.Minute)
	for {
		out, err := a.command(line).CombinedOutput()
		a.last = string(out)
		if err == nil {
			a.modest()
			return
		}
		if time.Now().After(deadline) {
			a.t.Fatalf("%s: %v\n%s", line, err, out)
		}
		time.Sleep(100 * time.Millisecond) // an admin is slower
	}
}

// modest lets the network do with the disk of a test machine.
func (a *admin) modest() {
	a.t.Helper()
	for _, name := range []string{"HQ/hub.toml", "CENTRE/agent.toml", "SECOND/agent.toml"} {
		folder, file, _ := strings.Cut(name, "/")
		path := filepath.Join(a.values[folder], file)
		text, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			continue
		}
		if err == nil {
			for _, change := range [][2]string{{"5GiB", "256MiB"}, {"1GiB", "64MiB"}} {
				text = bytes.ReplaceAll(text, []byte(` = "`+change[0]+`"`),
					[]byte(` = "`+change[1]+`"`))
			}
			err = os.WriteFile(path, text, 0o600)
		}
		if err != nil {
			a.t.Fatal(err)
		}
	}
}

// happens does the events of the document that no command does.
func (a *admin) happens(event string) {
	a.t.Helper()
	if event != "the hub is lost" {
		a.t.Fatalf("the document says that %q", event)
	}
	for i, d := range a.daemons {
		if strings.HasPrefix(d.line, "sealpost hub run") {
			if err := d.cmd.Process.Kill(); err != nil {
				a.t.Fatal(err)
			}
			d.cmd.Wait() //nolint:errcheck // it was killed
			a.daemons = append(a.daemons[:i], a.daemons[i+1:]...)
			break
		}
	}
	if err := os.RemoveAll(a.values["HQ"]); err != nil {
		a.t.Fatal(err)
	}
}

// end stops all daemons, which must end in good order.
func (a *admin) end() {
	for _, d := range a.daemons {
		if err := d.cmd.Process.Signal(os.Interrupt); err != nil {
			a.t.Errorf("%s has ended by itself: %v\n%s", d.line, err, d.said)
		}
	}
	for _, d := range a.daemons {
		if err := d.cmd.Wait(); err != nil {
			a.t.Errorf("%s: %v\n%s", d.line, err, d.said)
		}
	}
}
