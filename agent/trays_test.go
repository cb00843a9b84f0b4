package agent_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sealpost/agent"
	"sealpost/agent/doctor"
	"sealpost/agent/outbox"
	"sealpost/config"
	"sealpost/internal/reason"
)

// addTray adds a table to agent.toml, which is read at the next start.
func (s *site) addTray(text string) {
	s.w.t.Helper()
	path := config.AgentFile(s.dir)
	old, err := os.ReadFile(path)
	must(s.w.t, err)
	must(s.w.t, os.WriteFile(path, append(old, "\n"+text...), 0o600))
}

// takeTraysOut removes the tables [[tray]] from agent.toml.
func (s *site) takeTraysOut() {
	s.w.t.Helper()
	path := config.AgentFile(s.dir)
	old, err := os.ReadFile(path)
	must(s.w.t, err)
	text, _, _ := strings.Cut(string(old), "\n[[tray]]")
	must(s.w.t, os.WriteFile(path, []byte(text), 0o600))
}

// setSequencer restarts the lab with another hold of its second tray.
func (s *site) setSequencer(hold string) {
	s.w.t.Helper()
	s.stop()
	s.takeTraysOut()
	s.addTray(strings.Replace(sequencer, "1h", hold, 1))
	s.start()
}

// sent returns the message that was made of a file of this name.
func (s *site) sent(name string) outbox.Message {
	s.w.t.Helper()
	all := s.status().Outbox.Latest
	i := slices.IndexFunc(all, func(m outbox.Message) bool { return m.Name == name })
	if i < 0 {
		s.w.t.Fatalf("nothing of the name %s was sent", name)
	}
	return all[i]
}

const sequencer = `[[tray]]
name = "sequencer"
dir = "seq"
kind = "SEQ"
route = "fl-lab.seq"
settle = "0s"
sweep = "500ms"
hold = "1h"
ignore = ["*.BAK"]
hidden = true
`

func (s *site) ofTray(name string) (t outbox.TrayStatus) {
	s.w.t.Helper()
	all := s.status().Outbox.Trays
	i := slices.IndexFunc(all, func(t outbox.TrayStatus) bool { return t.Name == name })
	if i < 0 {
		s.w.t.Fatalf("no tray %s in %+v", name, all)
	}
	return all[i]
}

// twoTrays returns a lab with two trays. One is for data, which goes to one centre at once; one is
// for sequences, which are held and go to another.
func twoTrays(t *testing.T) (lab, data, sequences *site) {
	w := newWorld(t)
	data, sequences = w.join("CA-RC", "receive"), w.join("SF-RC", "receive")
	w.bind("ca_rc_queue", "fl-lab.dat")
	w.bind("sf_rc_queue", "fl-lab.seq")
	lab = w.join("FL-LAB", "send", "CA-RC")
	lab.stop()
	lab.addTray(sequencer)
	lab.start()
	must(t, lab.call(agent.PathApprove, agent.ApproveRequest{Route: "fl-lab.seq",
		Sites: []string{"SF-RC"}}, nil))
	return lab, data, sequences
}

// Two trays have a route, a kind and times each.
func TestTwoTrays(t *testing.T) {
	t.Parallel()
	lab, data, sequences := twoTrays(t)
	if err := lab.call(agent.PathApprove, agent.ApproveRequest{Sites: []string{"CA-RC"}},
		nil); err == nil || !strings.Contains(err.Error(),
		"fl-lab.dat, fl-lab.seq: say with --route") {
		t.Errorf("a route that nobody named was approved: %v", err)
	}
	lab.drop("data.csv", []byte("data"))
	lab.drop("kept.bak", []byte("the other tray's pattern"))
	lab.drop("../seq/outbox/run.fq", []byte("ACGT"))
	lab.drop("../seq/outbox/old.bak", []byte("old"))
	data.expect("FL-LAB", "data.csv", []byte("data"))
	data.expect("FL-LAB", "kept.bak", []byte("the other tray's pattern"))
	eventually(t, "the sequence is held", func() bool {
		return lab.ofTray("sequencer").Counts["taken"] == 1
	})
	lab.stop()
	lab.start()
	tray := lab.ofTray("sequencer")
	if tray.Route != "fl-lab.seq" || tray.Kind != "SEQ" ||
		tray.Dir != filepath.Join(lab.dir, "seq") || tray.Counts["taken"] != 1 {
		t.Errorf("after a restart: %+v", tray)
	}
	eventually(t, "what is ignored is said", func() bool {
		return lab.ofTray("sequencer").NotTaken["old.bak"].Code == reason.IgnoredName &&
			lab.status().Outbox.NotTaken["sequencer: old.bak"].Code == reason.IgnoredName
	})
	held := lab.sent("run.fq")
	if held.Tray != "sequencer" || !strings.HasPrefix(string(held.ID), "FL-LAB_SEQ_") ||
		!strings.HasSuffix(string(held.ID), "_001") {
		t.Errorf("held: %+v", held)
	}
	lab.drop(".params", []byte("of a program"))
	lab.drop("../seq/outbox/.params", []byte("of the sequencer"))
	eventually(t, "a dot name is sent where the tray has hidden = true", func() bool {
		return lab.ofTray("sequencer").Counts["taken"] == 2 &&
			lab.ofTray("outbox").NotTaken[".params"].Code == reason.HiddenName
	})
	must(t, lab.call(agent.PathRecall, agent.MessageRequest{Message: string(held.ID)}, nil))
	failed := filepath.Join(lab.dir, "seq", "failed", string(held.ID))
	eventually(t, "it is recalled in its own tray",
		func() bool { _, err := os.Stat(filepath.Join(failed, "WHY.txt")); return err == nil })

	lab.setSequencer("0s")
	must(t, lab.call(agent.PathResend, agent.ResendRequest{Message: string(held.ID), To: "CA-RC"},
		nil))
	data.expect("FL-LAB", "run.fq", []byte("ACGT"))
	must(t, os.Rename(filepath.Join(failed, "run.fq"),
		filepath.Join(lab.dir, "seq", "outbox", "again.fq")))
	sequences.expect("FL-LAB", "again.fq", []byte("ACGT"))
	eventually(t, "both lie in their own tray", func() bool {
		return len(lab.tray("seq/delivered")) == 2 && len(lab.tray("delivered")) == 2
	})
	if got := len(data.inInbox()) + len(sequences.inInbox()); got != 4 {
		t.Errorf("%d files arrived", got)
	}
	for path, want := range map[string]string{"STATUS.txt": `"data.csv" has reached CA-RC`,
		"seq/STATUS.txt": `"again.fq" has reached SF-RC`} {
		eventually(t, path+" says "+want, func() bool {
			return strings.Contains(lab.read(path), want)
		})
	}
	if text := lab.read("seq/STATUS.txt"); strings.Contains(text, "data.csv") {
		t.Errorf("the file of one tray tells of the other:\n%s", text)
	}
}

// read returns the text of a file in the site's folder, "" if there is none.
func (s *site) read(path string) string {
	s.w.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, path))
	if err != nil && !os.IsNotExist(err) {
		s.w.t.Fatal(err)
	}
	return string(text)
}

// A tray that leaves the configuration is reported, and goes on once it is back.
func TestARemovedTray(t *testing.T) {
	t.Parallel()
	lab, data, sequences := twoTrays(t)
	lab.setSequencer("0s")
	sequences.stop()
	lab.drop("../seq/outbox/sent.fq", []byte("sent"))
	eventually(t, "the hub has one", func() bool {
		return lab.ofTray("sequencer").Counts["published"] == 1
	})
	sent := string(lab.sent("sent.fq").ID)
	lab.w.stopHub()
	lab.setSequencer("0s")
	lab.drop("../seq/outbox/waits.fq", []byte("waits"))
	eventually(t, "the other is taken", func() bool {
		return lab.ofTray("sequencer").Counts["taken"] == 1
	})
	lab.stop()
	lab.takeTraysOut()
	lab.w.startHub()
	lab.start()
	disksAway := func() (a []outbox.Away) { return lab.status().Outbox.Away }
	if a := disksAway(); len(a) != 1 || a[0].Name != "sequencer" || a[0].Waiting != 1 ||
		a[0].Sent != 1 || a[0].Says.Code != "tray-away" {
		t.Fatalf("away: %+v", a)
	}
	sequences.start()
	eventually(t, "the receipt is followed", func() bool {
		a := disksAway()
		return len(a) == 1 &&
			a[0].Sent == 0 && a[0].Unfiled == 1
	})
	eventually(t, "people are told", func() bool {
		return strings.Contains(lab.statusFile(), "TRAY AWAY sequencer")
	})
	lab.drop("data.csv", []byte("data"))
	data.expect("FL-LAB", "data.csv", []byte("data"))
	if a := disksAway(); len(a) != 1 || a[0].Waiting != 1 {
		t.Errorf("what waits for its tray went on without it: %+v", a)
	}
	if err := lab.call(agent.PathResend, agent.ResendRequest{Message: sent, To: "CA-RC"},
		nil); err == nil || !strings.Contains(err.Error(), "not in agent.toml any more") {
		t.Errorf("something of the tray was sent again: %v", err)
	}

	lab.stop()
	must(t, os.Rename(filepath.Join(lab.dir, "seq"), filepath.Join(lab.dir, "moved")))
	lab.addTray(strings.NewReplacer(`"seq"`, `"moved"`, `"1h"`, `"0s"`).Replace(sequencer))
	lab.start()
	eventually(t, "what was sent lies in delivered",
		func() bool { return slices.Contains(lab.tray("moved/delivered"), "sent.fq") })
	sequences.expect("FL-LAB", "waits.fq", []byte("waits"))
	eventually(t, "and the other too", func() bool {
		return slices.Equal(lab.tray("moved/delivered"), []string{"sent.fq", "waits.fq"})
	})
	if a := disksAway(); len(a) != 0 {
		t.Errorf("away: %+v", a)
	}
}

func TestTwoTraysThroughALinkAreRefused(t *testing.T) {
	t.Parallel()
	_, lab, _ := labAndCentre(t)
	lab.stop()
	must(t, os.Symlink(lab.dir, filepath.Join(lab.w.dir, "other name")))
	lab.addTray("[[tray]]\nname = 'other'\ndir = '../other name'\nroute = 'fl-lab.seq'\n")
	cfg, err := config.LoadAgent(config.AgentFile(lab.dir))
	must(t, err)
	if _, err := agent.New(agent.Options{Config: cfg, Version: "test",
		Log: lab.w.log("FL-LAB")}); err == nil ||
		!strings.Contains(err.Error(), "are one: give each tray a dir of its own") {
		t.Errorf("it says %v", err)
	}
	lab.takeTraysOut()
	lab.start()
}

func TestTheDoctorLooksAtEveryTray(t *testing.T) {
	t.Parallel()
	_, lab, _ := labAndCentre(t)
	lab.stop()
	lab.addTray(sequencer)
	lab.start()
	lab.stop() // it would make the folder again
	must(t, os.Remove(filepath.Join(lab.dir, "seq", "failed")))
	cfg, err := config.LoadAgent(config.AgentFile(lab.dir))
	must(t, err)
	found := map[string]doctor.Level{}
	doctor.Examine(t.Context(), doctor.Options{Config: cfg, Version: "test"},
		func(f doctor.Finding) { found[f.Check.String()] = f.Level })
	for check, want := range map[string]doctor.Level{"folder failed of the tray outbox": doctor.OK,
		"folder failed of the tray sequencer":  doctor.Fail,
		"folder sending of the tray sequencer": doctor.OK, "tray outbox": doctor.OK} {
		if found[check] != want {
			t.Errorf("%s: %q, want %q (%v)", check, found[check], want, found)
		}
	}
}

// A tray can wait for markers. A file without one is told, and stays however long.
func TestATrayThatWaitsForMarkers(t *testing.T) {
	t.Parallel()
	_, lab, centre := labAndCentre(t)
	lab.stop()
	lab.set("finished", `"marker"`)
	lab.start()
	lab.drop("half.raw", []byte("half"))
	eventually(t, "it is told", func() bool {
		return strings.Contains(lab.statusFile(), `"half.raw" for "half.raw.done"`)
	})
	lab.drop("whole.raw", []byte("whole"))
	lab.drop("whole.raw.ready", nil)
	centre.expect("FL-LAB", "whole.raw", []byte("whole"))
	lab.drop("half.raw", []byte("half and half"))
	lab.drop("half.raw.done", nil)
	centre.expect("FL-LAB", "half.raw", []byte("half and half"))
	eventually(t, "outbox is empty", func() bool {
		left, err := os.ReadDir(filepath.Join(lab.dir, "outbox"))
		return err == nil && len(left) == 0
	})
	if got := centre.inInbox(); len(got) != 2 {
		t.Errorf("in the inbox: %q", got)
	}
	var trays agent.Trays
	must(t, lab.call(agent.PathTrays, agent.TraysRequest{}, &trays))
	if one := trays.Trays[0]; one.Marker != "*.done" || !one.NeedsMarker {
		t.Errorf("send is told %+v", one)
	}
}

// A run folder is taken in a pause of its program, which goes on in it wherever it lies. All of its
// files arrive, each once, and its user is told.
func TestAProgramGoesOnInAFolderThatWasSent(t *testing.T) {
	t.Parallel()
	_, lab, centre := labAndCentre(t)
	lab.stop()
	lab.set("folder_settle", `"500ms"`)
	lab.set("sweep", `"300ms"`)
	lab.start()
	run := filepath.Join(lab.dir, "outbox", "run")
	must(t, os.Mkdir(run, 0o755))
	at, err := os.OpenRoot(run) // as the program's working folder
	must(t, err)
	defer at.Close()
	write := func(name string) { must(t, at.WriteFile(name, []byte(name), 0o644)) }
	write("scan 1")
	centre.expect("FL-LAB", "run/scan 1", []byte("scan 1"))
	eventually(t, "it lies in delivered", func() bool { return len(lab.tray("delivered")) == 1 })
	for n, name := range []string{"scan 2", "scan 3"} {
		write(name)
		eventually(t, name+" is sent", func() bool { return len(lab.tray("delivered")) == n+2 })
		m := lab.status().Outbox.Latest[0]
		if m.Follows != lab.status().Outbox.Latest[n+1].ID {
			t.Errorf("it follows %q", m.Follows)
		}
		centre.expect("FL-LAB", "run ("+string(m.ID)+")/"+name, []byte(name))
	}
	if got := centre.inInbox(); len(got) != 3 {
		t.Errorf("in the inbox: %q", got)
	}
	eventually(t, "its user is told", func() bool {
		return strings.Contains(lab.statusFile(), "added or changed after it was sent (scan 3)")
	})
}
