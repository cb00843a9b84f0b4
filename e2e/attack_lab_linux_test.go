package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// message returns the id of the message with a number, of today.
func (s *site) message(number int) string {
	return fmt.Sprintf("%s_DAT_%s_%03d", s.name, time.Now().UTC().Format("20060102"), number)
}

// filesNamed lists the files of a name in the message folders of a part of the tray.
func (s *site) filesNamed(part, pattern string) []string {
	s.t.Helper()
	found, err := filepath.Glob(s.tray(part, "*", pattern))
	must(s.t, err)
	return found
}

// inSending waits until a file is claimed, and returns its path.
func (s *site) inSending(name string) string {
	s.t.Helper()
	eventually(s.t, name+" lies in sending", func() bool {
		return len(s.filesNamed("sending", name)) == 1
	}, s.statusText)
	return s.filesNamed("sending", name)[0]
}

// isClaimed waits until nothing of a name is left in outbox.
func (s *site) isClaimed(pattern string) {
	s.t.Helper()
	eventually(s.t, pattern+" is claimed", func() bool {
		left, err := filepath.Glob(s.tray("outbox", pattern))
		return err == nil && len(left) == 0
	}, s.statusText)
}

// A user replaces the folder of a message by a link to the folder of keys. The message is a large
// file with the name of a key, and is being sealed. No key is sent, neither then nor after
// a restart, nor when a lost ledger has the agent adopt such links.
func TestALinkInThePlaceOfAMessageFolder(t *testing.T) {
	t.Parallel()
	s := newSiege(t)
	lab := s.SharedLab(s.Centre("CA-RC", "fl-lab.*"))
	s.Proves()
	s.Watches()

	s.mallory.makesSparse(lab.at("outbox", "identity.key"), 256*mib)
	eventually(t, "it is being sealed", func() bool {
		return lab.state("identity.key") == "sealed"
	}, lab.statusText)
	folder := filepath.Dir(lab.inSending("identity.key"))
	kept := s.mallory.swaps(folder, lab.at("state"))
	s.ProvesAgain()
	s.mallory.putsBack(kept, folder)

	lab.Stop()
	lab.LoseLedger()
	s.mallory.links(lab.at("sending", lab.message(901)), s.one)
	s.mallory.links(lab.at("sending", lab.message(902)), lab.at("state"))
	s.mallory.links(lab.at("sending", "FL-LAB_DAT_20250102_001"), s.many)
	lab.Start()
	sealpost(t, "agent", "approve", "CA-RC", "--dir", lab.dir)
	s.ProvesAgain()
	s.Judge()
}

// Pipes, sockets, devices, folders and links are in the place of files. So are second names of
// files that only the service can read. They lie in outbox, in dropped folders, and in the place of
// claimed files and message folders. None is opened or sent, and none delays the others.
func TestThingsInThePlaceOfFiles(t *testing.T) {
	t.Parallel()
	s := newSiege(t)
	lab := s.SharedLab(s.Centre("CA-RC", "fl-lab.*"))
	s.Proves()
	s.Watches()
	things := map[string]func(path string){
		"link": func(path string) { s.mallory.links(path, s.secret) }}
	for _, thing := range []string{"pipe", "socket", "folder"} {
		things[thing] = func(path string) { s.mallory.makes(thing, path) }
	}
	// Only root can make the next things. Linux lets users link files that they cannot write if
	// fs.protected_hardlinks is 0.
	things["device"] = func(path string) {
		must(t, errors.Join(unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5))),
			os.Chown(path, malloryAccount, sharingGroup)))
	}
	things["second name of a secret"] = func(path string) { must(t, os.Link(s.secret, path)) }
	things["second name of the key"] = func(path string) {
		must(t, os.Link(lab.at("state", "identity.key"), path))
	}

	s.SealsNothing()
	for name, put := range things {
		put(lab.at("outbox", "mallory's "+name))
		s.mallory.makes("file", lab.at("outbox", "mallory's file for a "+name))
		instead := filepath.Join(s.mallory.home, "instead of a file: "+name)
		put(instead)
		// at once: a missing file is withdrawn
		s.mallory.exchanges(instead, lab.inSending("mallory's file for a "+name))
		s.mallory.makes("file", lab.at("outbox", "mallory's message for a "+name))
		folder := filepath.Dir(lab.inSending("mallory's message for a " + name))
		instead = filepath.Join(s.mallory.home, "instead of a folder: "+name)
		put(instead)
		s.mallory.exchanges(instead, folder)
	}
	building := lab.at("outbox", "building.tmp")
	s.mallory.makes("folder", building)
	for name, put := range things {
		put(filepath.Join(building, name))
		s.mallory.makes("folder", filepath.Join(building, "with a "+name))
		put(filepath.Join(building, "with a "+name, "in it"))
		s.mallory.renames(filepath.Join(building, "with a "+name),
			lab.at("outbox", "mallory's folder with a "+name))
	}
	s.mallory.renames(building, lab.at("outbox", "mallory's folder of everything"))
	s.hub.Start()
	s.ProvesAgain()
	s.Judge()
}

// A folder of the service is mounted over the folder of a message, and over one in a dropped
// folder. The content of another mount was not dropped.
func TestAMountInThePlaceOfAFolder(t *testing.T) {
	t.Parallel()
	s := newSiege(t)
	lab := s.SharedLab(s.Centre("CA-RC", "fl-lab.*"))
	s.Proves()
	s.Watches()
	t.Cleanup(s.unmountAll)
	mount := func(bait, at string) { must(t, unix.Mount(bait, at, "", unix.MS_BIND, "")) }
	s.SealsNothing()
	s.mallory.makes("file", lab.at("outbox", "results.csv"))
	mount(s.one, filepath.Dir(lab.inSending("results.csv")))
	s.mallory.makes("folder", lab.at("outbox", "building.tmp"))
	s.mallory.makes("folder", lab.at("outbox", "building.tmp", "sub"))
	mount(filepath.Join(s.many, "sub"), lab.at("outbox", "building.tmp", "sub"))
	s.mallory.renames(lab.at("outbox", "building.tmp"), lab.at("outbox", "mallory's folder"))
	s.hub.Start()
	s.ProvesAgain()
	s.Judge()
}

// unmountAll unmounts everything in the world, wherever its folder was moved to.
func (s *siege) unmountAll() {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	must(s.t, err)
	for line := range strings.Lines(string(mounts)) {
		at := strings.ReplaceAll(strings.Fields(line)[4], `\040`, " ")
		if strings.HasPrefix(at, s.dir+"/") {
			must(s.t, unix.Unmount(at, unix.MNT_DETACH))
		}
	}
}

// Everything that surrounds users' files at a lab is swapped for links and back. Meanwhile hundreds
// of files are claimed, sealed and filed, and the agent is killed and starts in between.
func TestSwapsAtTheLab(t *testing.T) {
	t.Parallel()
	rounds := 3
	if soak {
		rounds = 60
	}
	s := newSiege(t)
	centre := s.Centre("CA-RC", "fl-lab.*")
	lab := s.SharedLab(centre)
	s.Proves()
	s.mallory.makes("folder", lab.at("outbox", "@CA-RC"))
	s.Watches()
	attack := storm{
		Seed: s.stormSeed(), Hands: 6,
		Swap: []string{lab.at("sending", "*"), lab.at("sending", "*"),
			lab.at("sending", "*", ".sealpost-*"),
			lab.at("sending", "*", "*", "sub"), lab.at("outbox", "carol*", "sub"),
			lab.at("outbox", "@*"),
			lab.at("delivered", "*"), lab.at("failed", "*")},
		For: s.insides(lab),
		Plant: []string{lab.at("sending", "*", ".sealpost-group"),
			lab.at("sending", "*", ".sealpost-address"),
			lab.at("failed", "*", "WHY.txt")},
		Own: []string{lab.at("outbox", "*"), lab.at("sending", "*", "*"),
			lab.at("delivered", "*", "*")},
		Drop: []string{lab.at("outbox", "results.csv"), lab.at("outbox", "identity.key"),
			lab.at("outbox", "@CA-RC", "results.csv")},
	}
	for n := range 50 * rounds {
		attack.Plant = append(attack.Plant, lab.at("sending", lab.message(15*n)),
			lab.at("delivered", lab.message(9*n)),
			lab.at("failed", lab.message(7*n)))
	}
	for n := range 20 {
		attack.Drop = append(attack.Drop, lab.at("outbox", fmt.Sprintf("mallory %d.csv", n)))
	}
	s.mallory.storms(attack)
	for round := range rounds {
		s.CarolDrops(fmt.Sprintf("%d %%d.csv", round), inStorm(250), 2*kib)
		s.CarolDropsFor(centre, fmt.Sprintf("for CA-RC %d %%d.csv", round), 20, 2*kib)
		lab.Restart()
		s.CarolDrops(fmt.Sprintf("large %d %%d.bin", round), 2, largeFile)
		for i := range 5 {
			s.CarolDropsFolder(fmt.Sprintf("folder %d %d", round, i))
		}
		lab.Restart()
	}
	s.Calms(100, lab)
	s.Arrives()
	s.ProvesAgain()
	s.Judge()
}

// insides are the targets of links in a storm: folders and files that only the service can read or
// write.
func (s *siege) insides(a *site) []string {
	return []string{s.one, s.one, s.many, s.many, s.many, filepath.Join(s.many, "sub"), s.empty,
		s.roots, s.secret,
		a.at("state"), a.at("state", "identity.key")}
}

// The agent is killed while it adopts files that a lost ledger had claimed. The folders are swapped
// meanwhile.
func TestSwapsWhileTheAgentAdopts(t *testing.T) {
	t.Parallel()
	rounds := 1
	if soak {
		rounds = 40
	}
	s := newSiege(t)
	lab := s.SharedLab(s.Centre("CA-RC", "fl-lab.*"))
	s.Proves()
	s.Watches()
	for round := range rounds {
		s.SealsNothing()
		for range 6 { // large, so that each has a folder to itself
			for _, name := range []string{"results.csv", "identity.key"} {
				s.mallory.makesSparse(lab.at("outbox", name), largeFile)
			}
			lab.isClaimed("*")
		}
		s.CarolDrops(fmt.Sprintf("%d %%d.csv", round), inStorm(300), 2*kib)
		s.CarolDrops(fmt.Sprintf("large %d %%d.bin", round), 2, largeFile)
		lab.isClaimed("*")
		lab.Kill()
		s.mallory.storms(storm{
			Seed: s.stormSeed() + uint64(round), Hands: 4, For: s.insides(lab),
			Swap: []string{lab.at("sending", "*"), lab.at("sending", "*"), lab.at("sending", "*"),
				lab.at("sending", "*", ".sealpost-*")},
			Own: []string{lab.at("sending", "*", "results.csv"),
				lab.at("sending", "*", "identity.key")},
		})
		lab.LoseLedger()
		lab.Restart()
		lab.Restart()
		s.hub.Start()
		sealpost(t, "agent", "approve", "CA-RC", "--dir", lab.dir)
		s.Calms(20, lab)
		s.Arrives()
	}
	s.ProvesAgain()
	s.Judge()
}

// Links and pipes are in the place of the agent's notes in message folders. The links lead to
// a file of the service; a writer to the pipes waits for ever. The agent writes to neither, and
// nothing waits.
func TestLinksInThePlaceOfNotes(t *testing.T) {
	t.Parallel()
	s := newSiege(t)
	centre := s.Centre("CA-RC", "fl-lab.*")
	lab := s.SharedLab(centre)
	s.Proves()
	s.Watches()
	for n := 2; n < 70; n++ { // the numbers of the messages to come
		for _, last := range []string{"", fmt.Sprintf("-%03d", n+1), fmt.Sprintf("-%03d", n+2),
			fmt.Sprintf("-%03d", n+3)} {
			folder := lab.at("sending", lab.message(n)+last)
			s.mallory.makes("folder", folder)
			for _, note := range []string{".sealpost-address", ".sealpost-group"} {
				s.mallory.does(act{Do: []string{"link", "pipe"}[n%2],
					Path: filepath.Join(folder, note), To: s.secret})
			}
		}
	}
	s.mallory.makes("folder", lab.at("outbox", "@CA-RC"))
	for round := range 5 {
		s.CarolDropsFor(centre, fmt.Sprintf("for CA-RC %d %%d.csv", round), 1, 2*kib)
		s.CarolDrops(fmt.Sprintf("%d %%d.csv", round), 4, 2*kib)
		s.Proves()
	}
	s.Arrives()
	s.ProvesAgain()
	s.Judge()
}

// Links to folders of the service replace the folder of a message that fails, and its place in
// failed. No explanation is written there.
func TestLinksInThePlaceOfFailedMessages(t *testing.T) {
	t.Parallel()
	s := newSiege(t)
	lab := s.SharedLab(s.Centre("CA-RC", "fl-lab.*"))
	s.Proves()
	s.Watches()
	s.SealsNothing() // a file for a site that does not exist fails once the hub runs
	s.mallory.makes("folder", lab.at("outbox", "@NO-SITE"))
	for _, name := range []string{"mallory's.csv", "results.csv", "identity.key"} {
		s.mallory.makes("file", lab.at("outbox", "@NO-SITE", name))
		folder := filepath.Dir(lab.inSending(name))
		switch name {
		case "mallory's.csv":
			s.mallory.swaps(folder, s.empty)
		case "results.csv":
			s.mallory.swaps(folder, s.one)
		default:
			s.mallory.links(lab.at("failed", filepath.Base(folder)), s.roots)
		}
	}
	s.hub.Start()
	s.ProvesAgain()
	s.Judge()
}

// Links and pipes are in the place of status files and their temporary files. The links lead to
// a file of the service; on the others a reader or a writer waits for ever. The agent writes to
// none, starts, and stops.
func TestLinksInThePlaceOfStatusFiles(t *testing.T) {
	t.Parallel()
	s := newSiege(t)
	lab := s.SharedLabAt(filepath.Join(s.mallory.home, "tray"), s.Centre("CA-RC", "fl-lab.*"))
	s.Proves()
	s.Watches()
	for _, thing := range []string{"link", "folder", "socket", "pipe"} {
		lab.Stop()
		for _, name := range []string{"STATUS.txt", "STATUS.html", "STATUS (sealpost).txt",
			".sealpost-status.tmp"} {
			s.mallory.removes(lab.tray(name))
			s.mallory.does(act{Do: thing, Path: lab.tray(name), To: s.secret})
		}
		lab.Restart()
		s.Proves()
	}
	lab.Stop()
	lab.Restart()
	s.Proves()
	s.Judge()
}

// The files and folders of messages are swapped while they are sent again and recalled. Only the
// service can read the others.
func TestSwapsWhileMessagesAreSentAgainAndRecalled(t *testing.T) {
	t.Parallel()
	s := newSiege(t)
	s.Centre("SF-RC", "another.route")
	lab := s.SharedLab(s.Centre("CA-RC", "fl-lab.*"))
	s.mallory.makes("file", lab.at("outbox", "results.csv"))
	eventually(t, "it is delivered", func() bool {
		return len(lab.filesNamed("delivered", "results.csv")) == 1
	}, lab.statusText)
	sealpost(t, "agent", "approve", "SF-RC", "--route", "@SF-RC", "--dir", lab.dir)
	s.Proves()
	s.Watches()
	file := lab.filesNamed("delivered", "results.csv")[0]
	folder := filepath.Dir(file)
	resend := func() {
		run(t, "agent", "resend", filepath.Base(folder), "--to", "SF-RC", "--dir", lab.dir)
	}

	kept := s.mallory.swaps(folder, s.one)
	resend()
	s.mallory.putsBack(kept, folder)
	kept = s.mallory.swaps(file, s.secret)
	resend()
	s.mallory.putsBack(kept, file)
	must(t, os.Rename(file, file+".aside"))
	must(t, os.Link(filepath.Join(s.one, "results.csv"), file)) // see TestThingsInThePlaceOfFiles
	resend()
	must(t, errors.Join(os.Remove(file), os.Rename(file+".aside", file)))
	for _, bait := range []string{s.empty, lab.at("state"), s.roots} {
		s.mallory.removes(lab.at("outbox", "@SF-RC"))
		s.mallory.links(lab.at("outbox", "@SF-RC"), bait)
		resend()
	}
	s.mallory.removes(lab.at("outbox", "@SF-RC"))
	s.mallory.storms(storm{
		Seed: s.stormSeed(), Hands: 2, For: s.insides(lab),
		Swap: []string{folder, lab.at("outbox", "@*")}, Own: []string{file},
	})
	for range 20 {
		resend()
	}
	s.Calms(20, lab)
	s.ProvesAgain()

	s.SealsNothing()
	for n, bait := range []string{s.empty, s.many, lab.at("state"), s.roots, s.secret, s.one} {
		name := fmt.Sprintf("mallory's %d", n)
		s.mallory.makes("file", lab.at("outbox", name))
		folder := filepath.Dir(lab.inSending(name))
		s.mallory.swaps(folder, bait)
		run(t, "agent", "recall", filepath.Base(folder), "--dir", lab.dir)
	}
	s.mallory.storms(storm{
		Seed: s.stormSeed(), Hands: 2, For: []string{s.empty, s.many, s.roots},
		Swap: []string{lab.at("sending", "*"), lab.at("failed", "*")},
	})
	for n := range 10 {
		s.mallory.makes("file", lab.at("outbox", fmt.Sprintf("mallory %d.csv", n)))
		run(t, "agent", "recall", lab.idOf(fmt.Sprintf("mallory %d.csv", n)), "--dir", lab.dir)
	}
	s.Calms(20, lab)
	s.hub.Start()
	s.ProvesAgain()
	s.Judge()
}

// idOf waits until the ledger knows a message of a name.
func (s *site) idOf(name string) (id string) {
	s.t.Helper()
	eventually(s.t, "the ledger knows "+name, func() bool {
		latest := s.Status().Outbox.Latest
		if len(latest) == 0 {
			return false
		}
		for _, m := range slices.Backward(latest) {
			if m.Name == name {
				id = string(m.ID)
			}
		}
		return id != ""
	}, s.statusText)
	return id
}
