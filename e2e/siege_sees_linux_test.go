package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A siege that sees nothing proves nothing. Root makes each effect that an attack may have, one at
// a time.
func TestTheSiegeSees(t *testing.T) {
	t.Parallel()
	s := newSiege(t)
	centre := s.SharedCentre("CA-RC")
	lab := s.SharedLab(centre)
	s.mallory.makes("folder", lab.at("outbox", "@CA-RC"))
	s.Proves()
	s.CarolDrops("%d.csv", 20, 2*kib)
	s.CarolDropsFor(centre, "for CA-RC %d.csv", 2, 2*kib)
	s.CarolDropsFolder("folder")
	s.mallory.makes("file", lab.at("outbox", "mallory's.csv"))
	s.Watches()
	s.Arrives()
	s.Proves()
	if p := s.verdict(); len(p) > 0 {
		t.Fatalf("before anything was done: %q", p)
	}
	key, err := os.ReadFile(lab.at("state", "claims.key"))
	must(t, err)
	arrived, secret := centre.at("inbox", "FL-LAB", "carol 7.csv"), canaryOf(s.secret)

	for name, c := range map[string]struct {
		done thing
		says string
	}{
		"a canary was sent": {lying{centre.at("inbox", "FL-LAB", "x"), "--" + secret},
			"the canary secret.txt lies in"},
		"a key was sent": {lying{centre.at("inbox", "x"), "----" + string(key)},
			"the claims key of FL-LAB lies in"},
		"a canary was copied": {lying{lab.at("outbox", "@CA-RC", "x.part"), secret},
			"the canary secret.txt lies in FL-LAB/outbox"},
		"a canary was given away": {lying{filepath.Join(s.mallory.home, "x"), secret},
			"the canary secret.txt lies in mallory/x"},
		"another file arrived": {lying{centre.at("inbox", "x"), "another"},
			"which no user has dropped"},
		"a file arrived twice":  {linked{arrived, arrived + "2"}, "2 times"},
		"a file did not arrive": {moved{arrived, filepath.Join(s.dir, "x")}, "0 times"},
		"a file in a closed folder": {lying{filepath.Join(s.empty, "WHY.txt"), ""},
			"service/empty/WHY.txt was made"},
		"a file in root's folder": {lying{filepath.Join(s.roots, "x"), ""},
			"root's/x was made"},
		"a file in the state folder": {lying{lab.at("state", "x"), ""}, "FL-LAB/state/x was made"},
		"a folder was opened":        {opened{s.service, 0o700, 0o770}, "service is drwxrwx---"},
		"the state folder was opened": {opened{lab.at("state"), 0o700, 0o750},
			"FL-LAB/state is drwxr-x---"},
		"a file has another owner": {chown{s.secret, serviceAccount, malloryAccount},
			"of 61003"},
		"a key was taken away": {moved{lab.at("state", "identity.key"),
			lab.at("outbox", "@CA-RC", "x.part")}, "identity.key is gone"},
	} {
		back := s.times()
		must(t, c.done.do())
		p := strings.Join(s.verdict(), "\n")
		must(t, c.done.undo())
		back()
		if !strings.Contains(p, c.says) {
			t.Errorf("%s: the verdict says %q, and nothing of %q", name, p, c.says)
		}
	}
	must(t, os.WriteFile(s.secret, []byte("x"), 0o600))
	if p := s.verdict(); len(p) != 1 || !strings.Contains(p[0], "service/secret.txt is -rw") {
		t.Errorf("a secret was overwritten: the verdict says %q", p)
	}
}

// thing is something that an attack may bring about.
type thing interface {
	do() error
	undo() error
}

type (
	lying  struct{ path, text string }
	linked struct{ path, name string }
	moved  struct{ path, to string }
	opened struct {
		path    string
		was, is os.FileMode
	}
	chown struct {
		path    string
		was, is int
	}
)

func (l lying) do() error   { return os.WriteFile(l.path, []byte(l.text), 0o600) }
func (l lying) undo() error { return os.Remove(l.path) }

func (l linked) do() error   { return os.Link(l.path, l.name) }
func (l linked) undo() error { return os.Remove(l.name) }

func (m moved) do() error   { return os.Rename(m.path, m.to) }
func (m moved) undo() error { return os.Rename(m.to, m.path) }

func (o opened) do() error   { return os.Chmod(o.path, o.is) }
func (o opened) undo() error { return os.Chmod(o.path, o.was) }

func (g chown) do() error   { return os.Chown(g.path, g.is, sharingGroup) }
func (g chown) undo() error { return os.Chown(g.path, g.was, sharingGroup) }

// times returns a function that gives the baits, and the folders above them, back the times that
// they have now.
func (s *siege) times() (restore func()) {
	s.t.Helper()
	now := map[string]time.Time{}
	for _, dir := range []string{s.service, s.roots} {
		walkAll(s.t, dir, func(path string) {
			info, err := os.Lstat(path)
			must(s.t, err)
			now[path] = info.ModTime()
		})
	}
	return func() {
		s.t.Helper()
		for path, at := range now {
			must(s.t, os.Chtimes(path, time.Time{}, at))
		}
	}
}
