//go:build linux

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The keys of a daemon never lie in a core dump.
func TestDaemonsLeaveNoCoreDumps(t *testing.T) {
	t.Parallel()
	w, lab, centre := labAndCentre(t)
	for _, d := range []*daemon{w.hub.daemon, lab.daemon, centre.daemon} {
		limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", d.Process().Pid))
		must(t, err)
		found := false
		for line := range strings.Lines(string(limits)) {
			if strings.HasPrefix(line, "Max core file size") {
				found = true
				if f := strings.Fields(line); f[4] != "0" || f[5] != "0" {
					t.Errorf("%s: %s", d.name, line)
				}
			}
		}
		if !found {
			t.Errorf("%s has no limit:\n%s", d.name, limits)
		}
	}
}

// A daemon does not start with a key that others may read. It names the key and what to do.
func TestLooseKeysAreRefused(t *testing.T) {
	t.Parallel()
	w, _, centre := labAndCentre(t)
	centre.Stop()
	w.hub.Stop()
	for _, c := range []struct{ role, dir, key string }{
		{"agent", centre.dir, "identity.key"}, {"agent", centre.dir, "recipient.key"},
		{"hub", w.hub.dir, "hub.key"}, {"hub", w.hub.dir, "issuing.key"},
	} {
		path := filepath.Join(c.dir, "state", c.key)
		must(t, os.Chmod(path, 0o640))
		_, says, code := run(t, c.role, "run", "--dir", c.dir)
		if code == 0 || !strings.Contains(says, path) || !strings.Contains(says, "chmod 600") {
			t.Errorf("%s: it ended with %d and said %s", c.key, code, says)
		}
		must(t, os.Chmod(path, 0o600))
	}
	w.hub.Start()
	centre.Start()
}
