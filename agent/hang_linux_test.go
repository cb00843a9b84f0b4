package agent_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"sealpost/agent/doctor"
	"sealpost/config"
	"sealpost/internal/oddfs"
	"sealpost/internal/reason"
)

// The server of a tray's share goes away while its files are sealed. The other tray goes on, status
// and doctor name the tray, the agent can be stopped, and everything arrives in the end.
func TestATrayThatHangs(t *testing.T) {
	t.Parallel() // it waits more than it works
	disk := oddfs.Mount(t, oddfs.Habits{})
	_, lab, centre := labAndCentre(t)
	lab.stop()
	lab.addTray("[[tray]]\nname = \"nas\"\ndir = \"" + disk.Dir + "\"\nkind = \"NAS\"\n" +
		"route = \"fl-lab.dat\"\nsettle = \"0s\"\nsweep = \"300ms\"\nhold = \"15s\"\n")
	lab.start()
	const hung = 3 // more than there are workers for large files
	content := make([]byte, 3<<20)
	for i := range hung {
		file := filepath.Join(disk.Back, "outbox", fmt.Sprint("hangs ", i))
		must(t, os.WriteFile(file, content, 0o644))
	}
	eventually(t, "they are taken", func() bool {
		return lab.ofTray("nas").Counts["taken"] == hung
	})
	disk.Hang(oddfs.Any) // before they are sealed
	eventually(t, "users are told", func() bool {
		return lab.ofTray("nas").NotTaken[disk.Dir] == reason.New("folder-silent")
	})
	lab.drop("other.csv", []byte("1;2"))
	lab.drop("large.bin", content)
	centre.expect("FL-LAB", "other.csv", []byte("1;2"))
	centre.expect("FL-LAB", "large.bin", content)
	cfg, err := config.LoadAgent(config.AgentFile(lab.dir))
	must(t, err)
	named := 0
	doctor.Examine(t.Context(), doctor.Options{Config: cfg, Dir: lab.dir}, func(f doctor.Finding) {
		if f.Level == doctor.Fail && f.Says == reason.New("folder-unanswered") {
			named++
		}
	})
	if named == 0 {
		t.Error("the doctor names no folder")
	}
	lab.stop()
	disk.Heal()
	lab.start()
	for i := range hung {
		centre.expect("FL-LAB", fmt.Sprint("hangs ", i), content)
	}
}

// The server of the inbox's share goes away. The status names the inbox within half a minute, and
// everything arrives once the server answers.
func TestAnInboxThatHangs(t *testing.T) {
	t.Parallel() // it waits more than it works
	disk := oddfs.Mount(t, oddfs.Habits{})
	_, lab, centre := labAndCentre(t)
	centre.stop()
	centre.inboxOn(disk)
	centre.start()
	lab.drop("before.csv", []byte("1;2"))
	eventually(t, "it receives", func() bool { return len(lab.tray("delivered")) == 1 })
	disk.Hang(oddfs.Any)
	lab.drop("meanwhile.csv", []byte("3;4"))
	eventually(t, "users are told", func() bool {
		return centre.status().Inbox.Away == reason.New("inbox-silent", "dir",
			filepath.Join(disk.Dir, "inbox"))
	})
	disk.Heal()
	eventually(t, "it goes on", func() bool {
		return len(lab.tray("delivered")) == 2 && centre.status().Inbox.Away.IsZero()
	})
}
