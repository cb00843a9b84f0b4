package agent_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sealpost/agent/inbox"
)

// The disk of the inbox is not mounted at a start: the agent receives nothing and reports it. It
// goes on once the disk is mounted.
func TestStartWithoutTheInboxsDisk(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	centre := w.join("CA-RC", "receive")
	w.bind("ca_rc_queue", "fl-lab.*")
	lab := w.join("FL-LAB", "send", "CA-RC")
	lab.drop("before.csv", []byte("before"))
	centre.expect("FL-LAB", "before.csv", []byte("before"))
	centre.stop()
	inbox := filepath.Join(centre.dir, "inbox")
	must(t, errors.Join(os.Rename(inbox, inbox+".disk"), os.Mkdir(inbox, 0o755)))
	centre.start()
	eventually(t, "the centre says that its inbox is away",
		func() bool { return strings.Contains(centre.status().Inbox.Away.String(), inbox) })
	lab.drop("while it is away.csv", []byte("away"))
	eventually(t, "it is on its way", func() bool { return len(lab.tray("sending")) == 1 })
	if entries, err := os.ReadDir(inbox); err != nil || len(entries) > 0 {
		t.Errorf("below the disk lies %v, %v", entries, err)
	}
	must(t, errors.Join(os.Remove(inbox), os.Rename(inbox+".disk", inbox)))
	centre.expect("FL-LAB", "while it is away.csv", []byte("away"))
	if why := centre.status().Inbox.Away; !why.IsZero() {
		t.Errorf("it says still: %s", why)
	}
}

// The settings of the inbox in agent.toml are in force.
func TestTheInboxFollowsItsConfiguration(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	plain, all := w.join("CA-RC", "receive"), w.join("SF-RC", "receive")
	all.stop()
	all.set("hidden", "true")
	all.set("executables", "true")
	all.set("readers", `"everyone"`)
	all.start()
	w.bind("ca_rc_queue", "fl-lab.*")
	w.bind("sf_rc_queue", "fl-lab.*")
	lab := w.join("FL-LAB", "send", "CA-RC", "SF-RC")
	made := filepath.Join(w.dir, "run")
	must(t, os.Mkdir(made, 0o755))
	for _, name := range []string{".Rprofile", "run.sh", "data.lnk"} {
		must(t, os.WriteFile(filepath.Join(made, name), []byte(name), 0o755))
	}
	must(t, os.Rename(made, filepath.Join(lab.dir, "outbox", "run")))
	plain.expect("FL-LAB", "run/%2ERprofile", []byte(".Rprofile"))
	plain.expect("FL-LAB", "run/data%2Elnk", []byte("data.lnk"))
	all.expect("FL-LAB", "run/.Rprofile", []byte(".Rprofile"))
	all.expect("FL-LAB", "run/data%2Elnk", []byte("data.lnk"))
	for s, want := range map[*site]os.FileMode{plain: 0, all: 0o555} {
		info, err := os.Stat(filepath.Join(s.dir, "inbox", "FL-LAB", "run", "run.sh"))
		if err != nil || info.Mode().Perm()&0o111 != want&0o111 ||
			info.Mode().Perm()&0o007 != want&0o007 {
			t.Errorf("%s: run.sh has %v, %v", s.name, info.Mode(), err)
		}
	}
}

// A file above max_size is named with its sender, its size and the limit.
func TestAFileAboveTheLimitOfACentre(t *testing.T) {
	t.Parallel()
	_, lab, centre := labAndCentre(t)
	centre.stop()
	centre.set("max_size", `"1MiB"`)
	centre.start()
	lab.drop("big.bin", random(3<<20))
	eventually(t, "the centre tells why it does not take it", func() bool {
		for _, why := range centre.status().Inbox.Released {
			text := why.String()
			return why.Code == "over-max-size" && strings.Contains(text, "FL-LAB_DAT_") &&
				strings.Contains(text, "of FL-LAB is larger") &&
				strings.Contains(text, "max_size is 1.0 MiB")
		}
		return false
	})
	eventually(t, "the lab tells it, too", func() bool {
		for _, m := range lab.status().Outbox.Waiting {
			why := m.WaitsFor().String()
			return m.Name == "big.bin" && strings.Contains(why, "CA-RC (it is larger than CA-RC "+
				"takes; its size is 3.0 MiB: ask there to raise max_size")
		}
		return false
	})
}

// A lab with a backlog delays only itself. A file of another lab that comes last is placed among
// the first ones.
func TestABacklogDelaysItsOwnSender(t *testing.T) {
	w, lab, centre := labAndCentre(t)
	w.bind("ca_rc_queue", "fl-lab.*", "pa-lab.*")
	other := w.join("PA-LAB", "send", "CA-RC")
	centre.stop()
	const backlog = 60
	for n := range backlog {
		lab.drop(fmt.Sprint("backlog ", n), random(600<<10))
	}
	eventually(t, "the hub has the backlog",
		func() bool { return lab.status().Outbox.Counts["published"] == backlog })
	other.drop("alone", []byte("alone"))
	eventually(t, "the hub has the last one",
		func() bool { return other.status().Outbox.Counts["published"] == 1 })
	centre.set("workers", "1")
	centre.start()
	centre.expect("PA-LAB", "alone", []byte("alone"))
	var rows []inbox.Message // newest first
	eventually(t, "all are placed", func() bool {
		rows = centre.status().Inbox.Latest
		return len(rows) == backlog+1
	})
	before := 0
	for _, m := range slices.Backward(rows) {
		if m.Sender == "PA-LAB" {
			break
		}
		before++
	}
	if before > backlog/4 {
		t.Errorf("%d of %d come before the other's", before, backlog)
	}
}
