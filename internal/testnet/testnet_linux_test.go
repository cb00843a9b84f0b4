package testnet

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"sealpost/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// One field chooses between goroutines and processes; the story is the same.
func TestNetworkInOneProcessAndInMany(t *testing.T) {
	for name, program := range map[string]func(*testing.T) string{
		"one process": func(*testing.T) string { return "" },
		"processes":   build,
	} {
		t.Run(name, func(t *testing.T) {
			n := New(t, Options{Program: program(t)})
			centre := n.Join("CA-RC", "receive")
			n.Hub.Bind("ca_rc_queue", "fl-lab.*")
			lab := n.Join("FL-LAB", "send", "CA-RC")
			centre.Start()
			lab.Start()
			expect := func(name string) {
				t.Helper()
				lab.Drop(name, []byte(name))
				testkit.Eventually(t, "it has "+name, func() bool {
					return slices.Contains(centre.Inbox(), "FL-LAB/"+name)
				}, lab.Log, centre.Log)
				testkit.Eventually(t, "it is delivered", func() bool {
					return slices.Contains(lab.Tray("delivered"), name)
				})
			}
			expect("first.csv")
			if program := lab.Command; len(program) > 0 {
				n.Hub.Kill()
			} else {
				n.Hub.Stop()
			}
			n.Hub.Start()
			lab.Stop()
			lab.Start()
			expect("second.csv")
			if st := lab.Status(); len(st.Outbox.Latest) != 2 ||
				lab.Fingerprint != lab.Identity().Key() {
				t.Errorf("the lab says %+v", st)
			}
			if lab.Count("msg=claimed") < 2 {
				t.Errorf("its log: %s", lab.Log())
			}
		})
	}
}

func build(t *testing.T) string {
	out := filepath.Join(t.TempDir(), "sealpost")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", out, "sealpost")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, strings.TrimSpace(string(text)))
	}
	return out
}

// A daemon that ends by itself has an error.
func TestDaemonsEnd(t *testing.T) {
	d := NewProcess(t, "false", filepath.Join(t.TempDir(), "log"), "sh", "-c", "echo said; exit 3")
	d.Start()
	if err := d.Ended(); err == nil || !d.Says("said") || d.Running() {
		t.Errorf("it ended with %v, and said %q", err, d.Log())
	}
}
