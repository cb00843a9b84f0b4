package agent_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sealpost/agent"
	"sealpost/hub"
	"sealpost/internal/id"
)

// saysOfTheHub waits until status and STATUS.txt name this refusal, with these texts and without
// those.
func (s *site) saysOfTheHub(refusal string, says []string, never ...string) {
	s.w.t.Helper()
	eventually(s.w.t, string(s.name)+" says "+says[0], func() bool {
		link, text := s.status().Link, s.statusFile()
		for _, part := range says {
			if !strings.Contains(link.Trouble.String(), part) || !strings.Contains(text, part) {
				return false
			}
		}
		return link.Refusal == refusal
	})
	for _, part := range append(never, "cannot be reached") {
		if trouble := s.status().Link.Trouble.String(); strings.Contains(trouble, part) {
			s.w.t.Errorf("it also says %q: %s", part, trouble)
		}
		if text := s.statusFile(); strings.Contains(text, part) {
			s.w.t.Errorf("the status file also says %q:\n%s", part, text)
		}
	}
}

// A removed site learns that it was removed, and not that it was never admitted. It goes on once it
// is admitted again.
func TestARemovedSite(t *testing.T) {
	t.Parallel()
	w, lab, centre := labAndCentre(t)
	w.admin(hub.ControlRemove, hub.RemoveRequest{Site: "FL-LAB"}, nil)
	lab.saysOfTheHub("removed", []string{"has removed this site",
		"sealpost hub admit FL-LAB --fingerprint"}, "not admitted", "yet")
	w.admit("FL-LAB", "send", lab.status().Fingerprint)
	lab.drop("data.csv", []byte("1;2"))
	centre.expect("FL-LAB", "data.csv", []byte("1;2"))
}

// A computer with an old copy of a site's keys learns that another has joined under its name.
func TestAnOldCopyOfKeys(t *testing.T) {
	t.Parallel()
	w, lab, _ := labAndCentre(t)
	w.admin(hub.ControlRemove, hub.RemoveRequest{Site: "FL-LAB"}, nil)
	w.admit("FL-LAB", "send", id64)
	lab.saysOfTheHub("other-key", []string{"by another key than this computer's"}, "not admitted",
		"removed this site from")
}

const id64 = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

// The address in agent.toml is not in the hub's certificate: the site learns both names. The same
// holds for a site that joins, and for the doctor.
func TestANameOutsideTheCertificate(t *testing.T) {
	t.Parallel()
	w, lab, _ := labAndCentre(t)
	lab.stop()
	_, port, _ := strings.Cut(w.addr, ":")
	lab.set("hub", `["localhost:`+port+`"]`)
	lab.start()
	lab.saysOfTheHub("name", []string{
		"under the name localhost, and its certificate is for 127.0.0.1"}, "not admitted")
	inv := w.invite("PA-LAB", "send")
	inv.Hub = []string{"localhost:" + port}
	_, err := agent.Join(t.Context(), agent.JoinOptions{Invitation: inv, Dir: t.TempDir(),
		Log: w.log("PA-LAB")})
	if err == nil || !strings.Contains(err.Error(), "its certificate is for 127.0.0.1") ||
		strings.Contains(err.Error(), "cannot be reached") {
		t.Errorf("join says %v", err)
	}
}

// agent.toml names another suite than the hub's network has.
func TestAnotherSuiteIsTold(t *testing.T) {
	t.Parallel()
	_, lab, _ := labAndCentre(t)
	lab.stop()
	must(t, os.Remove(filepath.Join(lab.dir, "state", "recipient.key")))
	must(t, removeIfThere(filepath.Join(lab.dir, "state", "recipient.json")))
	lab.set("suite", `"x25519"`)
	lab.start()
	lab.saysOfTheHub("suite", []string{"the suite hybrid, and agent.toml says x25519"})
}

func removeIfThere(path string) error {
	if err := os.Remove(path); !os.IsNotExist(err) {
		return err
	}
	return nil
}

// A join that fails before the hub may know the site's key leaves nothing behind.
func TestAFailedJoinLeavesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good := agent.JoinOptions{Invitation: w.invite("PA-LAB", "send"),
		Dir: filepath.Join(w.dir, "PA-LAB"), Log: w.log("PA-LAB")}
	for name, c := range map[string]struct {
		spoil func(*agent.JoinOptions)
		says  string
	}{
		"kind": {func(o *agent.JoinOptions) { o.Kind = "dat" },
			`nothing was written, as it would be wrong: outbox.kind: kind "dat" is invalid`},
		"route":    {func(o *agent.JoinOptions) { o.Route = "fl lab" }, "nothing was written"},
		"approval": {func(o *agent.JoinOptions) { o.Approve = []string{"CA-RC", "../x"} }, "../x"},
		"no hub": {func(o *agent.JoinOptions) { o.Invitation.Hub = []string{"127.0.0.1:1"} },
			"cannot be reached"},
		"another network": {func(o *agent.JoinOptions) {
			o.Invitation.Network = id.Hash(strings.Repeat("0", 64))
		}, "127.0.0.1"},
		"clock": {func(o *agent.JoinOptions) {
			o.Now = func() time.Time { return time.Now().AddDate(-5, 0, 0) }
		}, "behind the hub's"},
	} {
		o := good
		c.spoil(&o)
		_, err := agent.Join(t.Context(), o)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: it says %v", name, err)
		}
		if _, err := os.Lstat(o.Dir); !os.IsNotExist(err) {
			t.Errorf("%s: it leaves a folder behind, %v", name, err)
		}
	}
	if _, err := agent.Join(t.Context(), good); err != nil {
		t.Errorf("the right one after it: %v", err)
	}
}

// A join whose invitation is used keeps its key: the admin admits that key by its fingerprint.
func TestARefusedJoinKeepsItsKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	inv := w.invite("PA-LAB", "send")
	join := func(dir string) error {
		_, err := agent.Join(t.Context(), agent.JoinOptions{Invitation: inv,
			Dir: filepath.Join(w.dir, dir), Log: w.log("PA-LAB")})
		return err
	}
	if err := join("first"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := join("second"); err == nil {
			t.Error("a used invitation works again")
		}
		if _, err := os.Lstat(filepath.Join(w.dir, "second/state/identity.key")); err != nil {
			t.Error(err)
		}
	}
}
