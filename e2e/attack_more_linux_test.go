package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// leastExchanges is the number of exchanges of an attack that counts.
const leastExchanges = 100

// exchangesAmong has mallory exchange things for each other, two at a time and back, until the
// returned function is called. On a busy machine it goes on to leastExchanges, in at most 1,000
// more tries. It returns the number of exchanges.
func (s *siege) exchangesAmong(pairs ...[2]string) (end func() int) {
	s.t.Helper()
	stop, done := make(chan struct{}), make(chan int)
	go func() {
		made, more := 0, 0
		for n := 0; ; n++ {
			select {
			case <-stop:
				if more++; made >= leastExchanges || more > 1000 {
					done <- made
					return
				}
			default:
			}
			pair := pairs[n%len(pairs)]
			for range 2 { // there and back
				if _, err := s.mallory.tries(
					act{Do: "exchange", Path: pair[0], To: pair[1]}); err == nil {
					made++
				}
			}
		}
	}()
	return func() int { close(stop); return <-done }
}

// The folders of an inbox are exchanged for each other and for the attacker's while messages are
// placed. All arrive once, and no record is open to the group.
func TestFoldersOfAnInboxAreExchanged(t *testing.T) {
	t.Parallel()
	s := newSiege(t)
	centre := s.SharedCentre("CA-RC")
	s.SharedLab(centre)
	s.Proves()
	s.Watches()
	in := func(name string) string { return centre.at("inbox", name) }
	s.mallory.makes("folder", in("hers"))
	s.mallory.makes("folder", in("hers too"))
	end := s.exchangesAmong([2]string{in("FL-LAB"), in(".sealpost")},
		[2]string{in("hers"), in(".sealpost")},
		[2]string{in("hers too"), in("FL-LAB")})
	s.CarolDrops("%d.csv", 200, 2*kib)
	s.CarolDropsFolder("folder")
	centre.Restart()
	eventually(t, "everything is delivered", func() bool {
		return centre.count("inbox/.sealpost/FL-LAB") > 200 || len(s.missing()) == 0
	}, s.standing)
	if n := end(); n < leastExchanges {
		t.Errorf("mallory exchanged things only %d times", n)
	}
	s.Arrives()
	s.Proves()
	marks, err := filepath.Glob(in("*/inbox.id")) // of whatever name now
	own, ownErr := filepath.Glob(in(".*/inbox.id"))
	must(t, errors.Join(err, ownErr))
	for _, mark := range append(marks, own...) {
		info, err := os.Lstat(filepath.Dir(mark))
		must(t, err)
		if info.Mode().Perm()&0o022 != 0 {
			owner := info.Sys().(*syscall.Stat_t).Uid
			t.Errorf("%s is %s of %d", filepath.Dir(mark), info.Mode(), owner)
		}
	}
	if len(own) == 0 {
		t.Error("there is no folder of records")
	}
	s.Judge()
}

// ofMallorys gives something that root has made to mallory, and moves it into outbox.
func (s *siege) ofMallorys(made, name string) {
	s.t.Helper()
	must(s.t, os.Lchown(made, malloryAccount, sharingGroup))
	s.mallory.renames(made, s.lab.at("outbox", name))
}

// deepFolder makes a folder so deep that no path leads to its end.
func (s *siege) deepFolder(path string, depth int) {
	s.t.Helper()
	must(s.t, os.Mkdir(path, 0o777))
	at, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	for range depth {
		must(s.t, errors.Join(err, unix.Mkdirat(at, "d", 0o777),
			unix.Fchownat(at, "d", malloryAccount, sharingGroup, 0)))
		next, failed := unix.Openat(at, "d", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		must(s.t, errors.Join(failed, unix.Close(at)))
		at = next
	}
	must(s.t, unix.Close(at))
}

// Odd things in a tray keep no agent from starting, and carol's files arrive meanwhile. They are
// folders without end, very many entries, names of every kind, a file on which another program
// holds a lease, and folders with the numbers of messages to come.
func TestOddThingsInATrayHoldUpNothing(t *testing.T) {
	t.Parallel()
	s := newSiege(t)
	lab := s.SharedLab(s.Centre("CA-RC", "fl-lab.*"))
	s.Proves()
	s.Watches()
	home := func(name string) string { return filepath.Join(s.mallory.home, name) }

	s.deepFolder(home("deep"), 3_000)
	s.ofMallorys(home("deep"), "deep")
	must(t, os.WriteFile(home("leased"), []byte(ownBegins), 0o644))
	leased, err := os.Open(home("leased"))
	must(t, err)
	must(t, os.Lchown(home("leased"), malloryAccount, sharingGroup))
	_, err = unix.FcntlInt(leased.Fd(), unix.F_SETLEASE, unix.F_WRLCK)
	must(t, err)
	s.ofMallorys(home("leased"), "leased.csv")
	odd := []string{"two\nlines", "\x1b[2Jscreen", "\xff\xfe", strings.Repeat("n", 255),
		strings.Repeat("ü", 127), "-rf", " ", "a\tb\\c", "\u202egpj.exe"}
	for _, name := range odd {
		s.mallory.makes("file", lab.at("outbox", name))
		s.mallory.makes("folder", lab.at("outbox", "@"+name[:min(254, len(name))]))
	}
	many := func(do func(path string) error) {
		for n := range 2_000 {
			must(t, do(lab.at("outbox", fmt.Sprintf("many %04d.tmp", n))))
		}
	}
	many(func(path string) error { return os.WriteFile(path, nil, 0o644) })
	for _, part := range []string{"sending", "delivered", "failed"} {
		for _, id := range []string{lab.message(999_999_999), lab.message(40) + "-041",
			"FL-LAB_DAT_99991231_001", "\xff", strings.Repeat("n", 255)} {
			s.mallory.makes("folder", lab.at(part, id))
		}
	}
	lab.Restart()
	s.Proves()
	eventually(t, "the folder without end is named", func() bool {
		why := lab.Status().Outbox.Trays[0].NotTaken["deep"]
		return strings.Contains(why.String(), "too many folders")
	}, lab.statusText)
	if kept := lab.filesNamed("sending", "leased.csv"); len(kept) > 0 {
		t.Errorf("what another program holds is taken: %q", kept)
	}
	s.ProvesAgain()
	many(os.Remove) // the search for secrets in them takes long
	must(t, errors.Join(os.RemoveAll(lab.at("outbox", "deep")), leased.Close()))
	s.Judge()
}

// The agent is killed in the middle of a claim, of filing, and of a recall. When it starts again it
// finds links in the places of its work.
func TestLinksWhereTheLabWasKilled(t *testing.T) {
	t.Parallel()
	points := []string{"outbox-claimed", "outbox-renamed", "outbox-final", "outbox-explained"}
	if soak {
		points = append(points, "outbox-moved", "outbox-taken", "outbox-sealing", "outbox-sealed",
			"outbox-answered", "outbox-settled", "outbox-filed")
	}
	s := newSiege(t)
	lab := s.SharedLab(s.Centre("CA-RC", "fl-lab.*"))
	s.mallory.makes("folder", lab.at("outbox", "@NO-SITE"))
	s.Proves()
	s.Watches()
	baits := []string{s.many, s.empty, lab.at("state"), s.roots}
	for n, point := range points {
		lab.Kill()
		lab.daemon.Start("SEALPOST_FAULT=" + point)
		s.CarolDrops(fmt.Sprintf("%d %%d.csv", n), 3, 2*kib)
		if point == "outbox-taken" { // small files go to a sealer without that state
			s.CarolDrops(fmt.Sprintf("large %d %%d.bin", n), 1, largeFile)
		}
		if point == "outbox-explained" {
			s.mallory.makes("file", lab.at("outbox", "@NO-SITE", "results.csv"))
		}
		lab.Dies()
		kept := map[string]string{}
		for _, part := range []string{"sending", "delivered", "failed"} {
			folders, err := filepath.Glob(lab.at(part, "FL-LAB_*"))
			must(t, err)
			for _, folder := range folders {
				kept[folder] = s.mallory.swaps(folder, baits[n%len(baits)])
			}
		}
		if len(kept) == 0 {
			t.Errorf("%s: there was nothing to swap", point)
		}
		lab.Restart()
		lab.Kill()
		for folder, kept := range kept {
			s.mallory.putsBack(kept, folder)
		}
		lab.Restart()
	}
	s.Arrives()
	s.ProvesAgain()
	s.Judge()
}
