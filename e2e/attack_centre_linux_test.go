package e2e

import (
	"fmt"
	"path/filepath"
	"testing"
)

// Everything that surrounds received files at a centre is swapped for links and back, while
// hundreds of files are placed. The agent is killed with half placed messages, and starts while a
// link is in the place of their folders.
func TestSwapsAtTheCentre(t *testing.T) {
	t.Parallel()
	points := []string{"inbox-placing", "inbox-moved:20", "inbox-synced", "inbox-renamed"}
	files := 100
	if soak {
		files = 400
		for range 4 {
			points = append(points, points...)
		}
	}
	s := newSiege(t)
	centre := s.SharedCentre("CA-RC")
	lab := s.SharedLab(centre)
	s.Proves()
	s.Watches()
	inbox, records := centre.at("inbox", "FL-LAB"), centre.at("inbox", ".sealpost")
	attack := storm{
		Seed: s.stormSeed(), Hands: 4, For: s.insides(centre),
		Swap: []string{inbox, inbox, records, filepath.Join(records, "*"),
			filepath.Join(inbox, ".sealpost*")},
		Plant: []string{filepath.Join(records, "FL-LAB", lab.message(50)+".json")},
	}
	for n := range files / 4 {
		for round := range points {
			attack.Plant = append(attack.Plant,
				filepath.Join(inbox, fmt.Sprintf("carol %d %d.csv", round, 4*n)))
		}
	}
	for round, point := range points {
		s.mallory.storms(attack)
		s.CarolDrops(fmt.Sprintf("%d %%d.csv", round), files, 2*kib)
		s.CarolDrops(fmt.Sprintf("large %d %%d.bin", round), 2, largeFile)
		for i := range 5 {
			s.CarolDropsFolder(fmt.Sprintf("folder %d %d", round, i))
		}
		centre.Restart()
		s.Calms(20)

		if centre.running() {
			centre.Kill()
		}
		centre.daemon.Start("SEALPOST_FAULT=" + point)
		s.CarolDrops(fmt.Sprintf("half placed %d %%d.csv", round), 50, 2*kib)
		centre.Dies()
		folder, kept := inbox, filepath.Join(s.mallory.home, fmt.Sprintf("kept %d", round))
		if round%2 == 1 {
			// mallory may not move it out of the inbox
			folder, kept = records, fmt.Sprintf("%s swapped %d", records, round)
		}
		s.mallory.links(kept, []string{s.empty, s.many, centre.at("state")}[round%3])
		s.mallory.exchanges(kept, folder)
		centre.Restart()
		centre.Kill()
		s.mallory.putsBack(kept, folder)
		centre.Restart()
	}
	s.Arrives()
	s.Proves()
	s.Judge()
}
