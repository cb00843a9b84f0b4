//go:build unix

package agent_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"sealpost/agent"
	"sealpost/config"
	"sealpost/internal/secretfile"
)

// tryStart opens the site's agent as its start does, and returns the log and the error.
func (s *site) tryStart() (said string, err error) {
	s.w.t.Helper()
	cfg, err := config.LoadAgent(config.AgentFile(s.dir))
	must(s.w.t, err)
	var log bytes.Buffer
	a, err := agent.New(agent.Options{Config: cfg, Version: "test",
		Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err == nil {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // it ends at once
		must(s.w.t, a.Run(ctx))
	}
	return log.String(), err
}

// modes calls check with all that lies in the state folder, and the folder itself.
func (s *site) modes(check func(path string, info fs.FileInfo) error) {
	s.w.t.Helper()
	must(s.w.t, filepath.WalkDir(filepath.Join(s.dir, "state"),
		func(path string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := e.Info()
			if err != nil {
				return err
			}
			return check(path, info)
		}))
}

func (s *site) expectTight() {
	s.w.t.Helper()
	seen := map[string]bool{}
	s.modes(func(path string, info fs.FileInfo) error {
		seen[filepath.Base(path)] = true
		if info.Mode().Perm()&0o077 != 0 {
			s.w.t.Errorf("%s has mode %v", path, info.Mode())
		}
		return nil
	})
	for _, name := range []string{"identity.key", "chain.pem", "ledger.db", "ledger.db-wal",
		"ledger.db-shm", "lock", "control.sock"} {
		if !seen[name] {
			s.w.t.Errorf("%s was not looked at: %v", name, seen)
		}
	}
}

// Whatever the umask, the state of a site that joins and works is for its account alone.
func TestTheStateIsForItsAccountAlone(t *testing.T) {
	w := newWorld(t)
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	centre := w.join("CA-RC", "receive")
	w.bind("ca_rc_queue", "fl-lab.*")
	lab := w.join("FL-LAB", "send", "CA-RC")
	content := random(2 << 20)
	lab.drop("large", content)
	centre.expect("FL-LAB", "large", content)
	lab.expectTight()
	centre.expectTight()
}

func TestALooseStateIsTightenedAtStart(t *testing.T) {
	t.Parallel()
	_, lab, _ := labAndCentre(t)
	lab.stop()
	lab.modes(func(path string, info fs.FileInfo) error {
		if strings.HasSuffix(path, ".key") {
			return nil
		}
		return os.Chmod(path, info.Mode().Perm()|0o044)
	})
	said, err := lab.tryStart()
	must(t, err)
	if strings.Count(said, "the state folder was open to other accounts and is closed now") != 1 ||
		!strings.Contains(said, "ledger.db") {
		t.Errorf("the log says %s", said)
	}
	if said, err = lab.tryStart(); err != nil || strings.Contains(said, "the state folder") {
		t.Errorf("the next time: %v, %s", err, said)
	}
	lab.start()
	lab.expectTight()
}

func TestAStateThatIsNotOursIsRefused(t *testing.T) {
	t.Parallel()
	_, lab, _ := labAndCentre(t)
	lab.stop()
	state := filepath.Join(lab.dir, "state")
	refused := func(name, says string, is error) {
		t.Helper()
		if _, err := lab.tryStart(); err == nil || !strings.Contains(err.Error(), says) ||
			is != nil && !errors.Is(err, is) {
			t.Errorf("%s: it says %v, want %q", name, err, says)
		}
	}
	key := filepath.Join(state, "identity.key")
	must(t, os.Chmod(key, 0o640))
	refused("a key that others could read", "chmod 600 "+key, secretfile.ErrLoose)
	must(t, os.Chmod(key, 0o600))
	must(t, os.Chmod(lab.dir, 0o777))
	refused("a folder that others could replace", "chmod o-w "+lab.dir, nil)
	must(t, os.Chmod(lab.dir, 0o755))
	if os.Geteuid() == 0 {
		must(t, os.Chown(state, 61001, 61001))
		refused("a folder of another account",
			"run the command as the account to which that folder belongs (it belongs to the "+
				"account 61001)", nil)
		must(t, os.Chown(state, 0, 0))
	}
	lab.start()
}
