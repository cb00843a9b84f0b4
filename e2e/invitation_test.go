//go:build linux

package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sealpost/internal/testkit"
)

// An invitation that is not good is turned down with a reason and with what to do. The site can
// still join with a good one.
func TestInvitationsThatAreNotGood(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	centre := w.Centre("CA-RC", "fl-lab.*")
	other := newWorld(t)
	lab := w.site("FL-LAB", "send")
	lab.to = []*site{centre}

	join := func(invitation string, want ...string) {
		t.Helper()
		stdout, stderr, code := run(t, "agent", "join", invitation, "--dir", lab.dir, "--approve",
			"CA-RC")
		for _, text := range want {
			if code == 0 || !strings.Contains(stderr, text) {
				t.Errorf("join with %s: exit code %d, and it does not say %q:\n%s%s",
					filepath.Base(invitation), code, text, stdout, stderr)
			}
		}
		if secret := regexp.MustCompile(`secret\s*=\s*"([^"]+)"`).FindStringSubmatch(
			read(t, w.hub.Invitation("FL-LAB"))); secret == nil ||
			strings.Contains(stdout+stderr, secret[1]) {
			t.Errorf("join shows the secret, or there is none: %v", secret)
		}
	}
	good := w.hub.Invite("FL-LAB", "send")
	changed := func(pattern, text string) string {
		t.Helper()
		file := filepath.Join(w.dir, "changed.join")
		have := read(t, good)
		now := regexp.MustCompile(pattern).ReplaceAllString(have, text)
		if now == have {
			t.Fatalf("nothing matches %s in\n%s", pattern, have)
		}
		must(t, os.WriteFile(file, []byte(now), 0o600))
		return file
	}
	join(filepath.Join(w.dir, "nowhere.join"), "nowhere.join")
	join(changed(`(?s)^.*$`, "not an invitation at all"), "changed.join")
	join(changed(`site = "FL-LAB"`, `site = "MA-LAB"`), "does not take the invitation for MA-LAB",
		"ask the admin of the hub")
	join(changed(`secret = ".{4}`, `secret = "AAAA`), "ask the admin of the hub")
	join(changed(`network = "[0-9a-f]{8}`, `network = "00000000`), "is not the hub of this network")
	join(changed(regexp.QuoteMeta(w.addr), other.addr), "is not the hub of this network")
	join(changed(regexp.QuoteMeta(w.addr), testkit.FreeAddress(t)), "cannot be reached",
		"run the same command again")

	lab.join("--approve", "CA-RC") // invites again: the earlier one is replaced
	stranger := filepath.Join(w.dir, "stranger")
	used := w.hub.Invitation("FL-LAB")
	_, stderr, code := run(t, "agent", "join", used, "--dir", stranger)
	if code == 0 || !strings.Contains(stderr, "used with another key") {
		t.Errorf("a used invitation with another key: exit code %d, %s", code, stderr)
	}
	sealpost(t, "agent", "join", used, "--dir", lab.dir) // with the same key it may be used again

	short := w.hub.Invite("MA-LAB", "send", "--valid", "1ms")
	_, stderr, code = run(t, "agent", "join", short, "--dir", stranger)
	if code == 0 || !strings.Contains(stderr, "expired") ||
		!strings.Contains(stderr, "ask the admin of the hub") {
		t.Errorf("an expired invitation: exit code %d, %s", code, stderr)
	}

	lab.Start()
	lab.Drop("joined after all.csv", smallFile)
	centre.Expect(lab, "joined after all.csv")
	w.Audit()
}

// Invitation is the file of the site's last invitation.
func (h *hubSide) Invitation(site string) string { return filepath.Join(h.w.dir, site+".join") }

func read(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	must(t, err)
	return string(text)
}

// Every command of the set-up may be repeated.
func TestTheSetUpRepeatedChangesNothing(t *testing.T) {
	t.Parallel()
	w, lab, centre := labAndCentre(t)
	before := lab.Status().Fingerprint
	w.hub.Bind("ca_rc_queue", "fl-lab.*")
	lab.Stop()
	centre.Stop()
	for _, s := range []*site{lab, centre} {
		sealpost(t, "agent", "join", w.hub.Invite(s.name, s.role), "--dir", s.dir)
		sealpost(t, "agent", "join", w.hub.Invitation(s.name), "--dir", s.dir)
	}
	w.hub.Stop()
	sealpost(t, "hub", "init", "--dir", w.hub.dir, "--name", "DC-HQ", "--host", "127.0.0.1",
		"--listen", w.addr, "--root", w.root)
	w.hub.Start()
	lab.Start()
	centre.Start()
	if after := lab.Status().Fingerprint; after != before {
		t.Errorf("the lab's fingerprint was %s and is %s", before, after)
	}
	lab.Drop("after all that.csv", smallFile)
	w.Audit()
}

func TestCommandsSayWhatToDo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	nowhere := filepath.Join(w.dir, "nowhere")
	for _, c := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"no hub there", []string{"hub", "run", "--dir", nowhere}, 1, "sealpost hub init"},
		{"no agent there", []string{"agent", "run", "--dir", nowhere}, 1, "sealpost agent join"},
		{"a second hub", []string{"hub", "run", "--dir", w.hub.dir}, 1, "already"},
		{"an unknown queue", []string{"hub", "bind", "xx_queue", "a.b", "--dir", w.hub.dir}, 2,
			"xx_queue"},
		{"a bad site", []string{"hub", "invite", "fl lab", "--role", "send", "--out",
			filepath.Join(w.dir, "x"), "--dir", w.hub.dir}, 2, "fl lab"},
		{"a bad role", []string{"hub", "invite", "FL-LAB", "--role", "sending", "--out",
			filepath.Join(w.dir, "x"), "--dir", w.hub.dir}, 2, "send"},
	} {
		stdout, stderr, code := run(t, c.args...)
		if code != c.code || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: exit code %d, want %d, and %q in:\n%s%s", c.name, code, c.code, c.want,
				stdout, stderr)
		}
	}
	w.hub.Stop()
	if _, stderr, code := run(t, "hub", "queues", "--dir", w.hub.dir); code != 3 ||
		!strings.Contains(stderr, "sealpost hub run") {
		t.Errorf("a hub that does not run: exit code %d: %s", code, stderr)
	}
}
