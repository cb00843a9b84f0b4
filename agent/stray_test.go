package agent_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sealpost/agent"
	"sealpost/hub"
)

// direct drops a file into the folder of a direct address.
func (s *site) direct(to, name string) {
	s.w.t.Helper()
	must(s.w.t, os.MkdirAll(filepath.Join(s.dir, "outbox", to), 0o755))
	s.drop(to+"/"+name, []byte(name))
}

// why waits until a file of this name has failed, and returns the note beside it.
func (s *site) why(name string) (text string) {
	s.w.t.Helper()
	eventually(s.w.t, name+" has failed", func() bool {
		notes, err := filepath.Glob(filepath.Join(s.dir, "failed", "*", name))
		must(s.w.t, err)
		if len(notes) != 1 {
			return false
		}
		content, err := os.ReadFile(filepath.Join(filepath.Dir(notes[0]), "WHY.txt"))
		text = string(content)
		return err == nil
	})
	return text
}

// A file for an unknown site fails, and its note names the most similar site.
func TestAnUnknownSite(t *testing.T) {
	t.Parallel()
	w, lab, centre := labAndCentre(t)
	w.join("SF-RC", "receive")
	must(t, lab.call(agent.PathApprove, agent.ApproveRequest{Route: "fl-lab.seq",
		Sites: []string{"SF-RC"}, InAdvance: true}, nil))
	for to, c := range map[string]struct{ name, says string }{
		"@SF-RX": {
			"mistyped.txt", "no site of the name SF-RX receives in this network (did you mean " +
				"SF-RC?). Put the file into a folder of the right name"},
		"@CA-RC,SFRC": {
			"half.txt", "no site of the name SFRC receives in this network (did you mean SF-RC?)"},
		"@TOKYO-NORTH": {
			"far.txt", "no site of the name TOKYO-NORTH receives in this network; this site " +
				"knows CA-RC, SF-RC. Put"},
		"@FL-LAB": {"self.txt", "FL-LAB is this site itself"},
	} {
		lab.direct(to, c.name)
		if text := lab.why(c.name); !strings.Contains(text, "No recipient has it: ") ||
			!strings.Contains(text, c.says) || !strings.Contains(text, "Not into outbox itself") {
			t.Errorf("%s says:\n%s", to, text)
		}
	}
	if got := centre.inInbox(); len(got) > 0 {
		t.Errorf("a part of the address has it all the same: %v", got)
	}
	lab.direct("@SF-RC", "right.txt")
	eventually(t, "a right name goes on", func() bool {
		return slices.Contains(lab.tray("delivered"), "right.txt")
	})
}

// A file for a site that has not joined, or was removed, waits.
func TestAnAbsentSite(t *testing.T) {
	t.Parallel()
	w, lab, centre := labAndCentre(t)
	lab.drop("first", []byte("first"))
	centre.expect("FL-LAB", "first", []byte("first"))
	w.invite("UT-RC", "receive")
	must(t, lab.call(agent.PathApprove, agent.ApproveRequest{Route: "fl-lab.seq",
		Sites: []string{"UT-RC"}, InAdvance: true}, nil))
	lab.direct("@UT-RC", "early.txt")
	eventually(t, "it waits", func() bool {
		return lab.status().Outbox.Blocked["@UT-RC"].Code == "not-joined"
	})
	lab.direct("@UT-RC,NO-RC", "never.txt")
	if text := lab.why("never.txt"); !strings.Contains(text, "no site of the name NO-RC") ||
		strings.Contains(text, "name UT-RC") {
		t.Errorf("it says:\n%s", text)
	}
	w.admin(hub.ControlRemove, hub.RemoveRequest{Site: "CA-RC"}, nil)
	err := lab.call(agent.PathResend, agent.ResendRequest{
		Message: string(lab.status().Outbox.Latest[0].ID), To: "CA-RC"}, nil)
	if err == nil || !strings.Contains(err.Error(), "CA-RC does not receive in this network any") {
		t.Errorf("a resend to it: %v", err)
	}
	eventually(t, "it is not shown as proposed, without a file", func() bool {
		of := lab.status().Routes[0].Sites
		return len(of) == 1 && of[0].Site == "CA-RC" && of[0].Approved && !of[0].Proposed
	})
	lab.direct("@CA-RC", "late.txt")
	eventually(t, "it waits", func() bool {
		return lab.status().Outbox.Blocked["@CA-RC"].Code == "receives-no-more"
	})
	if got := lab.tray("failed"); !slices.Equal(got, []string{"WHY.txt", "never.txt"}) {
		t.Errorf("failed: %v", got)
	}
}

// A file for an unknown site waits until the hub can be asked.
func TestAnUnknownSiteWithoutTheHub(t *testing.T) {
	t.Parallel()
	w, lab, _ := labAndCentre(t)
	w.stopHub()
	lab.direct("@SF-RX", "mistyped.txt")
	eventually(t, "it is taken", func() bool {
		return slices.Contains(lab.tray("sending"), "mistyped.txt")
	})
	eventually(t, "the hub is missed", func() bool { return !lab.status().Link.Trouble.IsZero() })
	if got := lab.tray("failed"); len(got) > 0 {
		t.Errorf("failed, though nobody could be asked: %v", got)
	}
	w.startHub()
	lab.why("mistyped.txt")
}

// A program that has crashed leaves its temporary file for ever, which users then have to learn.
func TestAFolderWithATemporaryFile(t *testing.T) {
	t.Parallel()
	_, lab, centre := labAndCentre(t)
	folder := filepath.Join(lab.dir, "outbox", "run 7")
	must(t, os.Mkdir(folder, 0o755))
	for _, name := range []string{"report.docx", "~$report.docx", ".DS_Store"} {
		must(t, os.WriteFile(filepath.Join(folder, name), []byte(name), 0o644))
	}
	must(t, os.WriteFile(folder+".done", nil, 0o644))
	eventually(t, "it is told what it waits for", func() bool {
		return strings.HasPrefix(lab.status().Outbox.NotTaken["run 7"].String(),
			`"~$report.docx" in it is the lock file of a program (Microsoft Office)`)
	})
	must(t, os.Remove(filepath.Join(folder, "~$report.docx")))
	centre.expect("FL-LAB", "run 7/report.docx", []byte("report.docx"))
	eventually(t, "nothing is left to tell", func() bool {
		return len(lab.status().Outbox.NotTaken) == 0
	})
}
