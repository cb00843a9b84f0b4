package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// lasts is how long an attack lasts that the agent is meant to see: two of its sweeps.
func lasts() { time.Sleep(250 * time.Millisecond) }

// The owner of a tray's parent folder swaps the tray's own folders for links. They lead to the
// folder of keys, to another tray and to folders of the system. The owner also moves the tray away
// and back.
func TestTheOwnerOfATraysFolderAttacks(t *testing.T) {
	t.Parallel()
	s := newSiege(t)
	tray, second := filepath.Join(s.mallory.home, "tray"), filepath.Join(s.dir, "second")
	lab := s.SharedLabAt(tray, s.Centre("CA-RC", "fl-lab.*"))
	s.Proves()
	lab.Stop()
	for _, dir := range []string{"", "outbox", "sending", "delivered", "failed",
		"delivered/FL-LAB_SEC_20250102_001"} {
		dir = filepath.Join(second, dir)
		must(t, errors.Join(os.Mkdir(dir, 0o700), os.Chown(dir, serviceAccount, serviceAccount)))
	}
	s.Bait(filepath.Join(second, "delivered/FL-LAB_SEC_20250102_001/old.csv"), serviceAccount)
	more(t, lab.config(), fmt.Sprintf("\n[[tray]]\nname = \"second\"\ndir = %q\nkind = \"SEC\"\n"+
		"route = \"fl-lab.second\"\n"+
		"settle = \"0s\"\nsweep = \"100ms\"\n", second))
	lab.Start()
	s.mallory.makes("folder", lab.tray("outbox", "@NO-SITE"))
	s.Watches()

	inside := []string{s.empty, lab.at("state"), filepath.Join(second, "delivered"),
		filepath.Join(second, "sending"), s.roots, "/etc"}
	for _, folder := range trayFolders {
		for n, bait := range inside {
			kept := s.mallory.swaps(lab.tray(folder), bait)
			if folder != "outbox" {
				name := fmt.Sprintf("mallory's %s %d", folder, n)
				s.mallory.makes("file", lab.tray("outbox", name))
				s.mallory.makes("file", lab.tray("outbox", "@NO-SITE", name))
			}
			lasts()
			s.mallory.putsBack(kept, lab.tray(folder))
		}
		lab.Restart()
		s.Proves()
	}
	for _, thing := range []string{"pipe", "socket", "file"} {
		kept := map[string]string{}
		for _, folder := range trayFolders {
			kept[folder] = filepath.Join(s.mallory.home, thing+" for "+folder)
			s.mallory.makes(thing, kept[folder])
			s.mallory.exchanges(kept[folder], lab.tray(folder))
		}
		lab.Restart()
		for _, folder := range trayFolders {
			s.mallory.putsBack(kept[folder], lab.tray(folder))
		}
		s.Proves()
	}

	s.SealsNothing()
	s.CarolDrops("under way %d.csv", 50, 2*kib)
	lab.isClaimed("*.csv")
	kept := s.mallory.swaps(lab.tray("sending"), s.empty)
	lab.Restart()
	lasts()
	lab.Restart()
	s.mallory.putsBack(kept, lab.tray("sending"))
	lasts()
	s.mallory.renames(tray, tray+" away")
	lab.Restart()
	lasts()
	s.mallory.renames(tray+" away", tray)
	s.hub.Start()
	s.mallory.storms(storm{Seed: s.stormSeed(), Hands: 2,
		For: append(inside, second, s.one, s.many),
		Swap: []string{lab.tray("outbox"), lab.tray("sending"), lab.tray("delivered"),
			lab.tray("failed"), tray}})
	for round := range 3 {
		s.CarolDrops(fmt.Sprintf("%d %%d.csv", round), inStorm(200), 2*kib)
		lab.Restart()
	}
	s.Calms(50, lab)
	s.Arrives()
	s.ProvesAgain()
	s.Judge()
}

// The owner of an inbox's parent folder swaps the inbox for links. They lead to the folder of keys
// and to folders of the system. The owner also moves the inbox away and back.
func TestTheOwnerOfAnInboxsFolderAttacks(t *testing.T) {
	t.Parallel()
	s := newSiege(t)
	inbox := filepath.Join(s.mallory.home, "folder", "inbox")
	centre := s.SharedCentreAt("CA-RC", inbox)
	s.SharedLab(centre)
	s.Proves()
	s.Watches()
	inside := []string{s.empty, s.many, centre.at("state"), s.roots, "/etc"}
	for n, bait := range inside {
		kept := s.mallory.swaps(inbox, bait)
		s.CarolDrops(fmt.Sprintf("%d %%d.csv", n), 20, 2*kib)
		lasts()
		centre.Restart()
		lasts()
		s.mallory.putsBack(kept, inbox)
	}
	s.Proves()
	for _, thing := range []string{"pipe", "socket", "file", "folder"} {
		kept := filepath.Join(s.mallory.home, "a "+thing)
		s.mallory.makes(thing, kept)
		s.mallory.exchanges(kept, inbox)
		s.CarolDrops(thing+" %d.csv", 20, 2*kib)
		centre.Restart()
		lasts()
		s.mallory.putsBack(kept, inbox)
	}
	s.mallory.renames(inbox, inbox+" away")
	s.CarolDrops("away %d.csv", 20, 2*kib)
	centre.Restart()
	lasts()
	s.mallory.renames(inbox+" away", inbox)
	s.Proves()
	s.mallory.storms(storm{
		Seed: s.stormSeed(), Hands: 2, For: append(inside, s.one),
		Swap: []string{inbox, filepath.Dir(inbox), filepath.Join(inbox, "FL-LAB")},
	})
	for round := range 3 {
		s.CarolDrops(fmt.Sprintf("storm %d %%d.csv", round), inStorm(200), 2*kib)
		centre.Restart()
	}
	s.Calms(50, centre)
	s.Arrives()
	s.Proves()
	s.Judge()
}
