package agent_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sealpost/agent"
	"sealpost/config"
	"sealpost/hub"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// requeued has two files of a lab fail at a centre that was removed, and requeued.
func requeued(t *testing.T) (w *world, lab, centre *site, identity id.Hash,
	contents map[string][]byte) {
	t.Helper()
	w, lab, centre = labAndCentre(t)
	identity = centre.status().Fingerprint
	centre.stop()
	contents = map[string][]byte{"a.csv": random(1000), "b.csv": random(300_000)}
	for name, content := range contents {
		lab.drop(name, content)
	}
	eventually(t, "the hub has both", func() bool {
		latest := lab.status().Outbox.Latest
		return len(latest) == 2 && latest[0].State == "published" && latest[1].State == "published"
	})
	var removed hub.Removed
	w.admin(hub.ControlRemove, hub.RemoveRequest{Site: "CA-RC"}, &removed)
	expectNotes(t, lab, "has removed CA-RC from the network")

	w.admit("CA-RC", config.RoleReceive, identity)
	var dead hub.DeadAnswer
	w.admin(hub.ControlDead, hub.DeadRequest{}, &dead)
	for _, l := range dead.Letters { // one or two: they may share an envelope
		var out hub.LettersAnswer
		w.admin(hub.ControlRequeue, hub.LetterRequest{Message: l.Messages[0].ID}, &out)
	}
	expectNotes(t, lab, "Do not send it to CA-RC again")
	return w, lab, centre, identity, contents
}

// A delivery that the hub has given up is requeued, and arrives. At the lab the file lies in
// failed, beside a note that says so, and then in delivered. Everything else says so too, and a
// resend that would arrive twice is refused.
func TestARequeuedFile(t *testing.T) {
	_, lab, centre, _, contents := requeued(t)
	m := lab.status().Outbox.Latest[0]
	if !strings.Contains(m.Reason.String(), "to CA-RC again") ||
		m.Stands() != reason.New("state-requeued") {
		t.Errorf("the status says %q, %q", m.Stands(), m.Reason)
	}
	eventually(t, "STATUS.txt says so", func() bool {
		text, err := os.ReadFile(filepath.Join(lab.dir, "STATUS.txt"))
		must(t, err)
		return strings.Count(string(text), "on its way to CA-RC again") == 2 &&
			!strings.Contains(string(text), "FAILED")
	})
	err := lab.call(agent.PathResend, agent.ResendRequest{Message: string(m.ID), To: "CA-RC"},
		new(agent.Done))
	if err == nil || !strings.Contains(err.Error(), "--twice") {
		t.Errorf("a resend answers %v", err)
	}

	centre.start()
	for name, content := range contents {
		centre.expect("FL-LAB", name, content)
	}
	eventually(t, "both lie in delivered", func() bool {
		return slices.Equal(lab.tray("delivered"), []string{"a.csv", "b.csv"})
	})
	if left := append(lab.tray("sending"), lab.tray("failed")...); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	for _, m := range lab.status().Outbox.Latest {
		if m.State != "delivered" || !m.Recipients[0].Verified {
			t.Errorf("it is %+v", m)
		}
	}
}

// expectNotes waits until two files lie in failed, each beside a note with a text.
func expectNotes(t *testing.T, lab *site, text string) {
	t.Helper()
	eventually(t, "the notes say: "+text, func() bool {
		notes, err := filepath.Glob(filepath.Join(lab.dir, "failed", "*", "WHY.txt"))
		must(t, err)
		with := 0
		for _, name := range notes {
			if note, err := os.ReadFile(name); err == nil && strings.Contains(string(note), text) {
				with++
			}
		}
		return with == 2
	})
}

// The hub is lost while requeued files wait there. They have failed again, with that reason, and
// can be sent again.
func TestARequeuedFileOfALostHub(t *testing.T) {
	w, lab, centre, identity, _ := requeued(t)
	w.replaceHub(lab.status().Fingerprint, identity)
	expectNotes(t, lab, "no longer has it")
	m := lab.status().Outbox.Latest[0]
	if m.IsRequeued() || m.Reason.Code != "not-delivered" {
		t.Errorf("the status says %q, %q", m.Stands(), m.Reason)
	}
	centre.start()
	must(t, lab.call(agent.PathResend, agent.ResendRequest{Message: string(m.ID), To: "CA-RC"},
		new(agent.Done)))
	eventually(t, "it arrives", func() bool { return len(centre.inInbox()) == 1 })
}

// The ledger is lost while requeued files wait at the hub. They are known, and move to delivered.
func TestARequeuedFileAfterALostLedger(t *testing.T) {
	_, lab, centre, _, contents := requeued(t)
	lab.loseLedger()
	for _, m := range lab.status().Outbox.Latest {
		if !m.IsRequeued() {
			t.Errorf("the status says %q, %q", m.Stands(), m.Reason)
		}
	}
	centre.start()
	for name, content := range contents {
		centre.expect("FL-LAB", name, content)
	}
	eventually(t, "both lie in delivered", func() bool {
		return slices.Equal(lab.tray("delivered"), []string{"a.csv", "b.csv"})
	})
	for _, m := range lab.status().Outbox.Latest {
		if m.State != "delivered" {
			t.Errorf("it is %+v", m)
		}
	}
	if left, err := os.ReadDir(filepath.Join(lab.dir, "state", "failed")); len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
