package agent_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sealpost/agent"
	"sealpost/hub/api"
)

// copied is a second folder of a site that is stopped, with the same keys and another control
// socket.
func (s *site) copied() *site {
	s.w.t.Helper()
	twin := s.w.site(s.w.Network.Site(s.name, s.Role,
		filepath.Join(s.w.dir, string(s.name)+" twin")))
	must(s.w.t, os.CopyFS(twin.dir, os.DirFS(s.dir)))
	secrets, err := filepath.Glob(filepath.Join(twin.dir, "state", "*"))
	must(s.w.t, err)
	for _, secret := range secrets {
		info, err := os.Stat(secret)
		must(s.w.t, err)
		mode := os.FileMode(0o600)
		if info.IsDir() {
			mode = 0o700
		}
		must(s.w.t, os.Chmod(secret, mode))
	}
	must(s.w.t, os.Chmod(filepath.Join(twin.dir, "state"), 0o700))
	return twin
}

// A second agent of a lab starts from a copy of its folder. The first stops and reports it, and the
// second sends. Both files arrive.
func TestTheNewerAgentOfALabTakesOver(t *testing.T) {
	t.Parallel()
	_, lab, centre := labAndCentre(t)
	lab.stop()
	twin := lab.copied()
	lab.start()
	lab.drop("one.csv", []byte("one"))
	centre.expect("FL-LAB", "one.csv", []byte("one"))
	twin.start()
	if err := lab.Ended(); !errors.Is(err, api.ErrHeld) ||
		!strings.Contains(err.Error(), "another agent of FL-LAB is running") {
		t.Errorf("it ends with %v", err)
	}
	for _, says := range []string{"here or on another computer, so this one stopped at 2",
		"do not go on dropping files here: they stay in outbox"} {
		if text := lab.statusFile(); !strings.Contains(text, says) {
			t.Errorf("its status file does not say %q:\n%s", says, text)
		}
	}
	must(t, twin.call(agent.PathRetry, agent.Nothing{}, nil))
	if link := twin.status().Link; link.Copy != nil {
		t.Errorf("the newer one is told of a stopped one: %+v", link.Copy)
	}
	if since := agent.TakenOver(filepath.Join(lab.dir, "state")); since.IsZero() {
		t.Error("a command does not learn of it")
	}
	twin.drop("two.csv", []byte("two"))
	centre.expect("FL-LAB", "two.csv", []byte("two"))
}
