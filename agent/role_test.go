package agent_test

import (
	"context"
	"strings"
	"testing"

	"sealpost/agent"
	"sealpost/agent/doctor"
	"sealpost/config"
	"sealpost/hub"
	"sealpost/internal/reason"
)

// A centre was invited with the wrong role, which is changed at the hub alone. The centre, its
// doctor, the lab and the admin of the hub all report it, and a new invitation ends it.
func TestARoleThatDiffersAtTheHub(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	centre := w.join("NY-RC", "send")
	w.admit("NY-RC", "receive", centre.status().Fingerprint)
	w.bind("ny_rc_queue", "fl-lab.*")
	lab := w.join("FL-LAB", "send", "NY-RC")
	lab.drop("data.csv", []byte("1;2"))
	eventually(t, "the lab is told that it has joined and gives no key", func() bool {
		return lab.status().Outbox.Blocked["fl-lab.dat"].Code == "no-key-yet"
	})
	centre.stop()
	centre.start() // or hello comes only after a while
	eventually(t, "the centre is told", func() bool {
		return centre.status().Link.HubRole == "receive" && strings.Contains(centre.statusFile(),
			"this site has the role send in agent.toml, and the hub has it as receive")
	})
	cfg, err := config.LoadAgent(config.AgentFile(centre.dir))
	must(t, err)
	failed := false
	doctor.Examine(context.Background(), doctor.Options{Config: cfg, Dir: centre.dir,
		Version: "test"}, func(f doctor.Finding) {
		failed = failed || f.Check == reason.New("check-role") && f.Level == doctor.Fail &&
			strings.Contains(f.Do.String(), "sealpost agent join")
	})
	if !failed {
		t.Error("the doctor finds nothing")
	}
	var sites hub.SitesAnswer
	w.admin(hub.ControlSites, hub.Nothing{}, &sites)
	for _, s := range sites.Sites {
		if want := map[bool]string{true: "send"}[s.Site == "NY-RC"]; s.RunsAs != want {
			t.Errorf("the admin is told that %s runs as %q", s.Site, s.RunsAs)
		}
	}

	second := agent.JoinOptions{Invitation: w.invite("NY-RC", ""), Dir: t.TempDir(),
		Log: w.log("NY-RC")}
	_, err = agent.Join(t.Context(), second)
	if err == nil || !strings.Contains(err.Error(), "the invitation is good, and the hub has "+
		"admitted NY-RC with another key than this computer's") ||
		!strings.Contains(err.Error(), "sealpost hub remove NY-RC && sealpost hub admit NY-RC") {
		t.Errorf("a second computer with a new invitation: %v", err)
	}

	centre.stop()
	_, err = agent.Join(t.Context(), agent.JoinOptions{Invitation: w.invite("NY-RC", ""),
		Dir: centre.dir, Log: w.log("NY-RC")})
	must(t, err)
	centre.set("reserve", `"0B"`)
	centre.start()
	centre.expect("FL-LAB", "data.csv", []byte("1;2"))
	if l := centre.status().Link; l.HubRole != "" {
		t.Errorf("after joining again: %+v", l)
	}
}
