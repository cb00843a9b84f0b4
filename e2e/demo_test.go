//go:build linux

package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"sealpost/internal/testkit"
)

// scenario lists the drops, each with its lab and its centres.
var scenario = []struct {
	lab, kind, number string
	to                []string
}{
	{"FL-LAB", "DAT", "001", []string{"CA-RC", "SF-RC"}},
	{"PA-LAB", "RPT", "125", []string{"CA-RC", "NY-RC", "SF-RC"}},
	{"MA-LAB", "DAT", "045", []string{"NY-RC", "SF-RC"}},
	{"IL-LAB", "RPT", "175", []string{"CA-RC", "SF-RC"}},
}

func TestTheDemo(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "demo")
	must(t, lookAtSources())
	var report struct {
		OK           bool
		Problems     []string
		ContentBytes int64 `json:"hub_content_bytes"`
		Deliveries   []struct {
			Message   string    `json:"message_id"`
			Recipient string    `json:"recipient_id"`
			Queue     string    `json:"queue"`
			Equal     bool      `json:"byte_equal"`
			Verified  bool      `json:"receipt_verified"`
			Spooled   time.Time `json:"spooled_time"`
			Settled   time.Time `json:"acknowledged_time"`
		}
	}
	day := time.Now().UTC().Format("20060102")
	must(t, json.Unmarshal([]byte(sealpost(t, "demo", "--dir", dir, "--once", "--json")), &report))
	if !report.OK || len(report.Problems) > 0 || report.ContentBytes != 0 ||
		len(report.Deliveries) != 9 {
		t.Fatalf("it reports %+v", report)
	}
	for _, s := range scenario {
		id := s.lab + "_" + s.kind + "_" + day + "_" + s.number
		var to []string
		for _, d := range report.Deliveries {
			if d.Message != id {
				continue
			}
			to = append(to, d.Recipient)
			if !d.Equal || !d.Verified || d.Spooled.IsZero() || d.Settled.Before(d.Spooled) ||
				d.Queue != queueOf(d.Recipient) {
				t.Errorf("%+v", d)
			}
		}
		if slices.Sort(to); !slices.Equal(to, s.to) && day == time.Now().UTC().Format("20060102") {
			t.Errorf("%s went to %v, want %v", id, to, s.to)
		}
	}
	auditDemo(t, dir)
}

// auditDemo compares the demo's files with the scenario.
func auditDemo(t testing.TB, dir string) {
	t.Helper()
	w := &world{t: t, dir: dir, root: filepath.Join(dir, "DC-HQ-root")}
	w.hub = &hubSide{w: w, dir: filepath.Join(dir, "DC-HQ")}
	w.hub.daemon = newDaemon(t, "DC-HQ", filepath.Join(dir, "DC-HQ", "log after the demo"), program,
		"hub", "run", "--dir", w.hub.dir)
	centres := map[string]*site{}
	for _, name := range []string{"CA-RC", "NY-RC", "SF-RC"} {
		centres[name] = &site{w: w, name: name, role: "receive", dir: filepath.Join(dir, name),
			daemon: &daemon{t: t, name: name}}
		w.sites = append(w.sites, centres[name])
	}
	for _, s := range scenario {
		lab := &site{w: w, name: s.lab, role: "send", dir: filepath.Join(dir, s.lab),
			daemon: &daemon{t: t, name: s.lab}}
		for _, name := range s.to {
			lab.to = append(lab.to, centres[name])
		}
		w.sites = append(w.sites, lab)
		for path := range lab.files("delivered") {
			d := &drop{lab: lab, name: filepath.Base(path)}
			d.reread(lab.at("delivered", path))
			w.drops = append(w.drops, d)
		}
	}
	if len(w.drops) != 4 {
		t.Errorf("%d files lie in delivered", len(w.drops))
	}
	w.hub.Start()
	a := newAudit(w)
	a.await()
	a.records = a.readRecords()
	w.hub.Stop()
	a.check()
	for _, p := range a.problems {
		t.Errorf("auditor: %s", p)
	}
}

// Without --once it stays up until Ctrl-C, sends dropped files, and leaves nothing running.
func TestTheDemoStaysUpUntilItIsInterrupted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	place := filepath.Join(dir, "demo")
	log, err := os.Create(filepath.Join(dir, "log"))
	must(t, err)
	defer log.Close()
	cmd := exec.Command(program, "demo", "--dir", place)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	must(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer cmd.Process.Kill()
	eventually(t, "it says where to drop files",
		func() bool {
			return strings.Contains(read(t, log.Name()), "Drop a file into one of these folders")
		}, func() string { return testkit.Tail(log.Name(), 50) })
	must(t, os.WriteFile(filepath.Join(place, "FL-LAB", "outbox", "dropped by hand.txt"),
		[]byte("by hand"), 0o644))
	eventually(t, "it arrives", func() bool {
		text, err := os.ReadFile(filepath.Join(place, "SF-RC", "inbox", "FL-LAB",
			"dropped by hand.txt"))
		return err == nil && string(text) == "by hand"
	}, func() string { return testkit.Tail(log.Name(), 50) })
	must(t, cmd.Process.Signal(syscall.SIGINT))
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("after Ctrl-C: %v\n%s", err, testkit.Tail(log.Name(), 50))
		}
	case <-time.After(patience):
		t.Fatal("it does not end after Ctrl-C")
	}
	if out, err := exec.Command("pgrep", "-f", place).CombinedOutput(); err == nil {
		t.Errorf("still running: %s", out)
	}
}
