package wine

import (
	"crypto/sha256"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"sealpost/internal/testkit"
)

// network is a hub and the centre CA-RC on Linux, and the site FL-LAB on Windows.
type network struct {
	t       *testing.T
	m       *machine
	program string // for Linux
	dir     string
}

const site = `C:\ProgramData\sealpost\FL-LAB`

func newNetwork(t *testing.T, before ...func(*machine)) *network {
	t.Helper()
	n := &network{t: t, m: windows(t, before...), program: build(t, "linux", "sealpost"),
		dir: t.TempDir()}
	hub, centre := filepath.Join(n.dir, "DC-HQ"), filepath.Join(n.dir, "CA-RC")
	n.sealpost("hub", "init", "--dir", hub, "--name", "DC-HQ", "--host", "127.0.0.1",
		"--listen", testkit.FreeAddress(t), "--root", filepath.Join(n.dir, "root"))
	edit(t, filepath.Join(hub, "hub.toml"), `reserve = "5GiB"`, `reserve = "64MiB"`,
		`floor = "1GiB"`, `floor = "32MiB"`, `ballast = "64MiB"`, `ballast = "1MiB"`)
	n.daemon("hub", hub)
	for _, name := range []string{"FL-LAB", "CA-RC"} {
		n.sealpost("hub", "invite", name, "--role", "both",
			"--out", filepath.Join(n.dir, name+".join"), "--dir", hub)
	}
	n.sealpost("hub", "bind", "--dir", hub, "ca_rc_queue", "fl-lab.*")
	n.sealpost("hub", "bind", "--dir", hub, "fl_lab_queue", "ca-rc.*")
	n.sealpost("agent", "join", filepath.Join(n.dir, "CA-RC.join"), "--dir", centre,
		"--approve", "FL-LAB")
	settleAtOnce(t, filepath.Join(centre, "agent.toml"))
	n.daemon("agent", centre)
	n.m.put(`C:\FL-LAB.join`, filepath.Join(n.dir, "FL-LAB.join"))
	n.m.sealpost("agent", "join", `C:\FL-LAB.join`, "--dir", site, "--approve", "CA-RC")
	settleAtOnce(t, n.m.path(site+`\agent.toml`))
	return n
}

// settleAtOnce lets a site take files at once.
func settleAtOnce(t *testing.T, config string) {
	t.Helper()
	edit(t, config, `settle = "2s"`, `settle = "0s"`, `reserve = "1GiB"`, `reserve = "16MiB"`,
		`sweep = "10s"`, `sweep = "1s"`)
}

// sealpost carries out a command line on Linux that must succeed.
func (n *network) sealpost(args ...string) string {
	n.t.Helper()
	out, err := exec.Command(n.program, args...).CombinedOutput()
	if err != nil {
		n.t.Fatalf("sealpost %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// daemon runs a hub or an agent on Linux until the test ends.
func (n *network) daemon(kind, dir string) {
	n.t.Helper()
	run(n.t, exec.Command(n.program, kind, "run", "--dir", dir), dir+".log")
	eventually(n.t, dir+" answers", func() bool {
		return exec.Command(n.program, kind, "status", "--dir", dir).Run() == nil
	})
}

// lab runs the agent on Windows until it is killed, or dies.
func (n *network) lab(env ...string) (kill func()) {
	n.t.Helper()
	cmd := n.m.start(installed, "agent", "run", "--dir", site)
	cmd.Env = append(cmd.Env, env...)
	return run(n.t, cmd, filepath.Join(n.dir, "FL-LAB.log"))
}

// killLab runs the agent on Windows until it ends itself at a fault point. A thread of such a
// process may hang in Wine, so it is killed as well.
func (n *network) killLab(point string) {
	n.t.Helper()
	trace := `C:\` + point + ".txt"
	kill := n.lab("SEALPOST_FAULT="+point, "SEALPOST_TRACE="+trace)
	eventually(n.t, "the agent passes "+point, func() bool {
		passed, _ := os.ReadFile(n.m.path(trace))
		return strings.Contains("\n"+string(passed), "\n"+point+"\n")
	})
	kill()
}

// run runs a daemon; its log is shown if the test fails.
func run(t *testing.T, cmd *exec.Cmd, log string) (kill func()) {
	t.Helper()
	f, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	must(t, err)
	defer f.Close()
	cmd.Stdout, cmd.Stderr = f, f
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	}
	must(t, cmd.Start())
	ended := make(chan struct{})
	go func() {
		cmd.Wait() //nolint:errcheck // it is killed
		close(ended)
	}()
	kill = func() {
		cmd.Process.Kill() //nolint:errcheck // it may be dead
		<-ended
	}
	t.Cleanup(func() {
		kill()
		if text, err := os.ReadFile(log); t.Failed() && err == nil {
			t.Logf("--- %s (its end) ---\n%s", log, text[max(0, len(text)-6000):])
		}
	})
	return kill
}

// tree returns the sum of each file of a folder by its path. Paths have / on both systems; those
// of folders end with it.
func tree(t *testing.T, dir string) map[string][sha256.Size]byte {
	t.Helper()
	all := map[string][sha256.Size]byte{}
	must(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, path)
		if os.IsNotExist(err) || rel == "." || rel == ".sealpost" || rel == "STATUS.txt" ||
			rel == "STATUS.html" ||
			err != nil {
			if rel == ".sealpost" {
				return fs.SkipDir
			}
			return nil
		}
		if e.IsDir() {
			all[rel+"/"] = [sha256.Size]byte{}
			return nil
		}
		data, err := os.ReadFile(path)
		all[rel] = sha256.Sum256(data)
		return err
	}))
	return all
}
