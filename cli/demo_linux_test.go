package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sealpost/config"
	"sealpost/internal/durable"
)

// session is a running demo.
type session struct {
	t      *testing.T
	cmd    *exec.Cmd
	lines  *bufio.Scanner
	stdout io.ReadCloser
	stderr bytes.Buffer
}

// startDemo runs a demo until the test ends it, for three minutes at most.
func startDemo(t *testing.T, args ...string) *session {
	t.Helper()
	program, err := exec.LookPath("sealpost")
	if err != nil {
		t.Fatal(err)
	}
	s := &session{
		t: t, cmd: exec.CommandContext(t.Context(), program, append([]string{"demo"}, args...)...)}
	s.cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	s.cmd.Stderr = &s.stderr
	if s.stdout, err = s.cmd.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	alarm := time.AfterFunc(3*time.Minute, func() { s.cmd.Process.Kill() })
	t.Cleanup(func() { alarm.Stop() })
	s.lines = bufio.NewScanner(s.stdout)
	return s
}

// until reads the output of the demo until a line has the text.
func (s *session) until(text string) {
	s.t.Helper()
	var said []string
	for s.lines.Scan() {
		said = append(said, s.lines.Text())
		if strings.Contains(s.lines.Text(), text) {
			return
		}
	}
	s.t.Fatalf("the demo ended without saying %q; it said:\n%s\n%s", text, strings.Join(said, "\n"),
		s.stderr.String())
}

// wait returns the rest of the output and the exit code; -1 after a kill.
func (s *session) wait() (string, int) {
	s.t.Helper()
	rest, err := io.ReadAll(s.stdout)
	if err != nil {
		s.t.Fatal(err)
	}
	err = s.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	return string(rest), s.cmd.ProcessState.ExitCode()
}

type demoReport struct {
	OK         bool `json:"ok"`
	Deliveries []struct {
		Message   string `json:"message_id"`
		Recipient string `json:"recipient_id"`
		Equal     bool   `json:"byte_equal"`
		Copies    int    `json:"copies"`
		Verified  bool   `json:"receipt_verified"`
	} `json:"deliveries"`
	ContentBytes int64 `json:"hub_content_bytes"`
	Destroyed    struct {
		Time  time.Time
		Again int `json:"published_again"`
	} `json:"hub_destroyed"`
}

// expectOnce runs a demo that leaves by itself, and returns the message ids.
func expectOnce(t *testing.T, dir string) map[string]bool {
	t.Helper()
	ids := map[string]bool{}
	for _, d := range expectReport(t, dir).Deliveries {
		ids[d.Message] = true
	}
	return ids
}

// expectReport runs a demo that leaves by itself, and wants all nine deliveries.
func expectReport(t *testing.T, dir string, more ...string) (r demoReport) {
	t.Helper()
	s := startDemo(t, append([]string{"--dir", dir, "--once", "--json"}, more...)...)
	out, code := s.wait()
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != 0 || !r.OK ||
		r.ContentBytes != 0 {
		t.Fatalf("exit code %d, %v\n%s\n%s", code, err, out, s.stderr.String())
	}
	got := map[string]int{}
	for _, d := range r.Deliveries {
		if d.Equal && d.Copies == 1 && d.Verified {
			got[d.Recipient]++
		}
	}
	if got["CA-RC"] != 3 || got["NY-RC"] != 2 || got["SF-RC"] != 4 || len(r.Deliveries) != 9 {
		t.Fatalf("deliveries: %v", got)
	}
	expectEnded(t, dir)
	return r
}

// expectEnded waits until every daemon of the demo has let go of its lock.
func expectEnded(t *testing.T, dir string) {
	t.Helper()
	locks, err := filepath.Glob(filepath.Join(dir, "*-*", "state", "lock"))
	if err != nil || len(locks) != 7 {
		t.Fatalf("locks of the agents: %v, %v", locks, err)
	}
	deadline := time.Now().Add(time.Minute)
	for _, path := range append(locks, filepath.Join(dir, "DC-HQ", "state", "spool", "lock"),
		filepath.Join(dir, ".sealpost-demo")) {
		lock, err := durable.Lock(path)
		for errors.Is(err, durable.ErrLocked) && time.Now().Before(deadline) {
			lock, err = durable.Lock(path)
		}
		if err != nil {
			t.Fatalf("a daemon is still there: %v", err)
		}
		lock.Close()
	}
}

// The demo leaves by itself, goes on in the same folder, and sends the files of its user. It ends
// with Ctrl-C, and takes its daemons with it even when it is killed. It goes on without its hub.
func TestDemo(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "demo")
	today := time.Now().UTC().Format("20060102")
	first := expectOnce(t, dir)
	if want := "FL-LAB_DAT_" + today + "_001"; !first[want] &&
		time.Now().UTC().Format("20060102") == today {
		t.Errorf("messages %v, want %s among them", first, want)
	}

	s := startDemo(t, "--dir", dir)
	s.until("/enter?key=")
	s.until("Ctrl-C ends the demo")
	second := startDemo(t, "--dir", dir)
	if _, code := second.wait(); code != 1 ||
		!strings.Contains(second.stderr.String(), "another demo runs in "+dir) {
		t.Errorf("a second demo in the folder: exit code %d, %s", code, second.stderr.String())
	}
	if err := os.WriteFile(filepath.Join(dir, "IL-LAB", "outbox", "by hand.txt"),
		[]byte("dropped by a person"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.until(`IL-LAB  moves "by hand.txt" to delivered/`)
	got, err := os.ReadFile(filepath.Join(dir, "CA-RC", "inbox", "IL-LAB", "by hand.txt"))
	if err != nil || string(got) != "dropped by a person" {
		t.Errorf("in the inbox: %q, %v", got, err)
	}
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if rest, code := s.wait(); code != 0 {
		t.Errorf("after Ctrl-C: exit code %d\n%s\n%s", code, rest, s.stderr.String())
	}
	expectEnded(t, dir)

	s = startDemo(t, "--dir", dir)
	s.until("drops")
	if err := s.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.wait()
	expectEnded(t, dir)
	for message := range expectOnce(t, dir) {
		if first[message] {
			t.Errorf("%s was given twice", message)
		}
	}

	// as if it was interrupted between the fire and the new hub
	if err := os.RemoveAll(filepath.Join(dir, "DC-HQ")); err != nil {
		t.Fatal(err)
	}
	expectOnce(t, dir)
}

// The hub's folder is deleted while files wait in it. They arrive through a new hub, none twice,
// and the demo goes on in its folder afterwards, where it does the same with its report as JSON.
func TestDemoDestroysTheHub(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "demo")
	s := startDemo(t, "--dir", dir, "--once", "--destroy-hub")
	s.until("DC-HQ is DESTROYED: its process killed, its folder deleted, with 4 files that " +
		"wait for SF-RC")
	rest, code := s.wait()
	if code != 0 || !strings.Contains(rest, "9 of 9 deliveries done") ||
		!strings.Contains(rest, "; 4 files were published again; every one arrived once.") {
		t.Fatalf("exit code %d\n%s\n%s", code, rest, s.stderr.String())
	}
	expectEnded(t, dir)
	r := expectReport(t, dir, "--destroy-hub")
	if r.Destroyed.Again != 4 || time.Since(r.Destroyed.Time) > 3*time.Minute {
		t.Errorf("it reports %+v", r.Destroyed)
	}
}

// The demo refuses folders that are not its own.
func TestDemoRefusesFolders(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "thesis.txt")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for folder, want := range map[string]string{
		dir:  "is neither empty nor a demo's folder; choose another with --dir",
		file: "choose another with --dir",
	} {
		s := startDemo(t, "--dir", folder, "--once")
		if _, code := s.wait(); code != 1 || !strings.Contains(s.stderr.String(), want) {
			t.Errorf("%s: exit code %d, %s", folder, code, s.stderr.String())
		}
	}
}

func TestDemoSaysThatItsPortIsTaken(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "demo")
	s := startDemo(t, "--dir", dir)
	s.until("runs the hub on")
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	s.wait()
	cfg, err := config.LoadHub(config.HubFile(filepath.Join(dir, "DC-HQ")))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s = startDemo(t, "--dir", dir, "--once")
	if _, code := s.wait(); code != 1 || !strings.Contains(s.stderr.String(),
		"address already in use") {
		t.Errorf("exit code %d, %s", code, s.stderr.String())
	}
}
