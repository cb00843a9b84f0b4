package agent_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sealpost/hub"
	"sealpost/internal/reason"
)

// A lab on hold keeps its file, reads the hold and its reason, and sends the file after it.
func TestAHeldSite(t *testing.T) {
	t.Parallel()
	w, lab, centre := labAndCentre(t)
	w.admin(hub.ControlHold, hub.HoldRequest{Site: "FL-LAB", Because: "ask first"}, &hub.Changed{})
	lab.drop("data.csv", []byte("1"))
	eventually(t, "the lab reads the hold", func() bool {
		s := lab.status()
		return s.Link.Connected && s.Link.Hold != nil && s.Link.Hold.Because == "ask first" &&
			s.Outbox.Blocked["fl-lab.dat"] == reason.New("hub-holds-site")
	})
	var text []byte
	eventually(t, "STATUS.txt has the hold", func() bool {
		text, _ = os.ReadFile(filepath.Join(lab.dir, "STATUS.txt"))
		return strings.Contains(string(text), "ON HOLD") &&
			strings.Contains(string(text), `the admin says: "ask first"`)
	}, func() string { return string(text) })
	w.admin(hub.ControlUnhold, hub.HoldRequest{Site: "FL-LAB"}, &hub.Changed{})
	centre.expect("FL-LAB", "data.csv", []byte("1"))
}
