package agent_test

import (
	"os"
	"path/filepath"
	"testing"

	"sealpost/internal/oddfs"
)

// A share refuses every lease, and a machine that is not this one writes into it.
func TestAFileThatAnotherMachineWritesArrivesWhole(t *testing.T) {
	t.Parallel() // it waits more than it works
	disk := oddfs.Mount(t, oddfs.Habits{NoLeases: true})
	_, lab, centre := labAndCentre(t)
	lab.stop()
	lab.addTray("[[tray]]\nname = \"nas\"\ndir = \"" + disk.Dir + "\"\nkind = \"NAS\"\n" +
		"route = \"fl-lab.dat\"\nsweep = \"300ms\"\n")
	lab.start()
	file := filepath.Join(disk.Back, "outbox", "run.csv")
	must(t, os.WriteFile(file, []byte("half"), 0o644))
	eventually(t, "it settles", func() bool { return lab.status().Outbox.Settling == 1 })
	must(t, os.WriteFile(file, []byte("half and half"), 0o644))
	centre.expect("FL-LAB", "run.csv", []byte("half and half"))
}
