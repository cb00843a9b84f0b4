package agent_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sealpost/agent/ledger"
	"sealpost/agent/outbox"
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

// A lab reads that one of its messages is on hold at the hub. Others pass it, and a centre that
// starts leases each once.
func TestAHeldMessage(t *testing.T) {
	t.Parallel()
	w, lab, centre := labAndCentre(t)
	centre.stop()
	lab.drop("kept.csv", []byte("1"))
	var m outbox.Message
	eventually(t, "it is at the hub", func() bool {
		s := lab.status().Outbox
		if s.Counts[ledger.Published] == 1 {
			m = s.Latest[0]
		}
		return m.ID != ""
	})
	var out hub.LettersAnswer
	w.admin(hub.ControlHoldOne, hub.HoldOneRequest{LetterRequest: hub.LetterRequest{Message: m.ID},
		Because: "ask first"}, &out)
	lab.drop("passes.csv", []byte("2"))
	eventually(t, "both are at the hub", func() bool {
		return lab.status().Outbox.Counts[ledger.Published] == 2
	})
	centre.start()
	centre.expect("FL-LAB", "passes.csv", []byte("2"))
	if n := w.Hub.Count("msg=leased"); n != 1 {
		t.Errorf("at its start the centre has leased %d deliveries", n)
	}
	var text []byte
	eventually(t, "STATUS.txt has the hold", func() bool {
		text, _ = os.ReadFile(filepath.Join(lab.dir, "STATUS.txt"))
		return strings.Contains(string(text), `the admin of the hub holds it: "ask first"`)
	}, func() string { return string(text) })
	if _, err := os.Stat(filepath.Join(centre.dir, "inbox", "FL-LAB", "kept.csv")); err == nil {
		t.Error("it is in the inbox")
	}
	w.admin(hub.ControlUnholdOne, hub.LetterRequest{Message: m.ID}, &out)
	centre.expect("FL-LAB", "kept.csv", []byte("1"))
}
