package e2e

import (
	"path/filepath"
	"strings"
	"testing"

	"sealpost/agent"
)

// Headquarters is shown a computer whose invitation another one has used. With the command that
// stands there it is admitted, and joins with the same invitation.
func TestAComputerThatKnocksIsAdmitted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	centre := w.Centre("CA-RC", "fl-lab.*")
	lab := w.site("FL-LAB", "send")
	lab.to = []*site{centre}
	invitation := w.hub.Invite("FL-LAB", "send")
	sealpost(t, "agent", "join", invitation, "--dir", filepath.Join(w.dir, "thief"))
	_, errs, code := run(t, "agent", "join", invitation, "--dir", lab.dir, "--approve", "CA-RC")
	if code == 0 || !strings.Contains(errs, "used with another key") {
		t.Fatalf("the second computer: exit code %d, %s", code, errs)
	}
	text := sealpost(t, "hub", "sites", "--dir", w.hub.dir)
	var commands []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "sealpost hub ") {
			commands = strings.Split(line, " && ")
		}
	}
	if len(commands) != 2 {
		t.Fatalf("headquarters is shown:\n%s", text)
	}
	for _, c := range commands {
		sealpost(t, append(strings.Fields(c)[1:], "--dir", w.hub.dir)...)
	}
	sealpost(t, "agent", "join", invitation, "--dir", lab.dir, "--approve", "CA-RC")
	lab.Start()
	var st agent.Status
	must(t, lab.ask(agent.PathStatus, agent.StatusRequest{}, &st))
	lab.Drop("admitted after all.csv", smallFile)
	centre.Expect(lab, "admitted after all.csv")
	text = sealpost(t, "hub", "sites", "--dir", w.hub.dir)
	if strings.Contains(text, "ask to be let in") {
		t.Errorf("it still knocks:\n%s", text)
	}
	w.Audit()
}
