package outbox

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sealpost/agent/ledger"
	"sealpost/agent/tray"
	"sealpost/internal/beneath"
	"sealpost/internal/reason"
	"sealpost/internal/testkit"
)

// mounts mounts a folder of its own on one of the tray, and returns it.
func (s *sealer) mounts(folder string) (disk string) {
	s.t.Helper()
	disk = s.t.TempDir()
	s.mountsOn(disk, folder)
	return disk
}

func (s *sealer) mountsOn(disk, folder string) {
	s.t.Helper()
	mkdir(s.t, s.at(folder))
	if err := unix.Mount(disk, s.at(folder), "", unix.MS_BIND, ""); err != nil {
		s.t.Skipf("SKIPPED: mounting needs root: %v", err)
	}
	//nolint:errcheck // a second one has nothing to do
	s.t.Cleanup(func() { unix.Unmount(s.at(folder), unix.MNT_DETACH) })
}

func (s *sealer) unmounts(folder string) {
	s.t.Helper()
	testkit.Must(s.t, unix.Unmount(s.at(folder), unix.MNT_DETACH))
}

// mounted returns a sealer whose outbox/ is a mount of its own.
func mounted(t *testing.T) *sealer {
	t.Helper()
	s := newSealer(t)
	s.mounts("outbox")
	return s
}

// Files of all sizes, folders, and files for an address with a mount of its own are taken.
func TestAnOutboxWithADiskOfItsOwn(t *testing.T) {
	s := mounted(t)
	s.mounts("outbox/@CA-RC")
	s.tray.FolderSettle = 0
	want := map[string]string{"a": "a", "b": "b", "run/1.dat": "1.dat", "run/deep/2.dat": "2.dat",
		"@CA-RC/c": "c"}
	for name := range want {
		put(t, s.at("outbox/"+filepath.Dir(name)), filepath.Base(name))
	}
	large := bytes.Repeat([]byte("large"), ownSyncSize/4)
	testkit.Must(t, os.WriteFile(s.at("outbox/large"), large, 0o755))
	then := time.Now().Add(-time.Hour).Truncate(time.Second)
	testkit.Must(t, os.Chtimes(s.at("outbox/large"), then, then))
	s.claimAll(newFinder(s.tray))
	list := s.all()
	if len(list) != 5 {
		t.Fatalf("%d messages", len(list))
	}
	for _, m := range list {
		if m.State != ledger.Taken {
			t.Errorf("%s is %s: %s", m.Name, m.State, m.Reason)
		}
		if got, err := opened(t, s.tray).observe(sourceAt(m)); err != nil || !same(got, m.Source) {
			t.Errorf("%s: its row is of another file than the copy: %v", m.Name, err)
		}
	}
	s.deliver(list...)
	s.file()
	for name := range want {
		if _, base := filepath.Split(name); !s.has("delivered/*/"+name) &&
			!s.has("delivered/*/"+base) {
			t.Errorf("%s is not in delivered", name)
		}
	}
	got, err := filepath.Glob(s.at("delivered/*/large"))
	if err != nil || len(got) != 1 {
		t.Fatalf("the large one: %q, %v", got, err)
	}
	text, err := os.ReadFile(got[0])
	info, _ := os.Stat(got[0])
	if err != nil || !bytes.Equal(text, large) || !info.ModTime().Equal(then) ||
		info.Mode()&0o100 == 0 {
		t.Errorf("its copy differs: %v, %v", err, info)
	}
	for _, left := range []string{"outbox/[^.@]*", "outbox/@CA-RC/[^.]*", "outbox/.sealpost/FL*",
		"outbox/@CA-RC/.sealpost/FL*", "sending/*"} {
		if found, err := filepath.Glob(s.at(left)); err != nil || len(found) > 0 {
			t.Errorf("left: %q, %v", found, err)
		}
	}
}

// all lists the messages.
func (s *sealer) all() (list []ledger.Outgoing) {
	s.t.Helper()
	testkit.Must(s.t, s.ledger.View(s.t.Context(), func(tx *ledger.Tx) (err error) {
		list, err = tx.Latest(100)
		return err
	}))
	return list
}

func (s *sealer) has(pattern string) bool {
	found, _ := filepath.Glob(s.at(pattern))
	return len(found) == 1
}

// A claim continues from each state of a copy, and its file is taken once.
func TestACopyFromAnotherDiskContinues(t *testing.T) {
	for name, before := range map[string]func(s *sealer, h *handles, m ledger.Outgoing){
		"claimed": func(*sealer, *handles, ledger.Outgoing) {},
		"set aside": func(s *sealer, h *handles, m ledger.Outgoing) {
			testkit.Must(s.t, h.SetAside(droppedAt(m), asideAt(m)))
		},
		"in place": func(s *sealer, h *handles, m ledger.Outgoing) {
			testkit.Must(s.t, h.SetAside(droppedAt(m), asideAt(m)))
			s.copies(h, m)
		},
		"in place, and after a loss of power not set aside": func(s *sealer, h *handles,
			m ledger.Outgoing) {
			testkit.Must(s.t, h.SetAside(droppedAt(m), asideAt(m)))
			s.copies(h, m)
			testkit.Must(s.t, h.GiveBack(asideAt(m), m.Name))
		},
		"recorded": func(s *sealer, h *handles, m ledger.Outgoing) {
			testkit.Must(s.t, h.SetAside(droppedAt(m), asideAt(m)))
			s.copies(h, m)
			_, err := s.tray.newMoving(h).adoptCopies(s.t.Context(), []ledger.Outgoing{m})
			testkit.Must(s.t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := mounted(t)
			m := s.claimed("a")[0]
			before(s, opened(t, s.tray), m)
			s.claimAll(newFinder(s.tray))
			if list := s.all(); len(list) != 1 || list[0].State != ledger.Taken {
				t.Errorf("messages: %+v", list)
			}
			s.expectTree("outbox/.sealpost/disk.id", "sending/"+group([]ledger.Outgoing{m})+"/a")
		})
	}
}

// copies puts the copy of a file that is set aside into its place.
func (s *sealer) copies(h *handles, m ledger.Outgoing) {
	s.t.Helper()
	testkit.Must(s.t, h.makePlace(s.t.Context(), []ledger.Outgoing{m}))
	temp, err := h.copyApart(s.t.Context(), m)
	testkit.Must(s.t, err)
	testkit.Must(s.t, h.placeCopy(m, temp))
}

// Content that comes after the claim, or is changed then, stays and is taken by itself.
func TestAChangeDuringACopyIsKept(t *testing.T) {
	s := mounted(t)
	s.tray.FolderSettle = 0
	h := opened(t, s.tray)
	changed := s.claimed("changed")[0]
	testkit.Must(t, h.SetAside(droppedAt(changed), asideAt(changed)))
	testkit.Must(t, os.WriteFile(s.at(asideAt(changed)+"/changed"), []byte("more now"), 0o644))

	edited := s.claimed("edited")[0]
	testkit.Must(t, h.SetAside(droppedAt(edited), asideAt(edited)))
	s.copies(h, edited)
	testkit.Must(t, os.WriteFile(s.at(asideAt(edited)+"/edited"), []byte("more now"), 0o644))
	put(t, s.at("outbox"), "edited") // its name is taken meanwhile

	put(t, s.at("outbox/run"), "1.dat")
	f := newFinder(s.tray)
	rows, err := s.tray.claimRows(t.Context(), []found{examined(t, f, "run")})
	testkit.Must(t, err)
	s.desk.release(rows...)
	testkit.Must(t, h.SetAside(droppedAt(rows[0]), asideAt(rows[0])))
	s.copies(h, rows[0])
	put(t, s.at(asideAt(rows[0])+"/run"), "2.dat")
	h.Release()

	s.claimAll(f)
	s.claimAll(newFinder(s.tray))
	if got := s.state(changed); got != ledger.Withdrawn {
		t.Errorf("a file that was changed before its copy is %s", got)
	}
	for _, name := range []string{"sending/*/changed", "sending/*/edited", "sending/*/run/1.dat",
		"sending/*/run/2.dat", "sending/*/" + string(edited.ID) + " edited"} {
		if found, _ := filepath.Glob(s.at(name)); len(found) == 0 {
			t.Errorf("%s is missing", name)
		}
	}
	if n := s.count(); n != 7 {
		t.Errorf("%d messages", n)
	}
	if s.has("sending/*/run/2.dat") && !s.has("sending/"+string(rows[0].ID)+"/run/1.dat") {
		t.Error("the first part of the folder is not in its message")
	}
}

// An open file is not removed, and a file that cannot be copied is told.
func TestACopyWaits(t *testing.T) {
	s := mounted(t)
	h := opened(t, s.tray)
	m := s.claimed("a")[0]
	testkit.Must(t, h.SetAside(droppedAt(m), asideAt(m)))
	s.copies(h, m)
	w, err := os.OpenFile(s.at(asideAt(m)+"/a"), os.O_WRONLY, 0)
	testkit.Must(t, err)
	s.claimAll(newFinder(s.tray))
	if got := s.state(m); got != ledger.Claimed {
		t.Errorf("while a program has it open it is %s", got)
	}
	status, err := s.Status(t.Context(), 1)
	testkit.Must(t, err)
	why := reason.New("cannot-move", "why", reason.New("open-while-copied"))
	if len(status.NotTaken) > 0 || len(status.Copies) != 1 || status.Copies[0].Reason != why ||
		status.Copies[0].Message != m.ID || status.Counts[ledger.Claimed] != 1 {
		t.Errorf("the status has %+v, not taken %v", status.Copies, status.NotTaken)
	}
	testkit.Must(t, w.Close())
	s.claimAll(newFinder(s.tray))
	if got := s.state(m); got != ledger.Taken {
		t.Errorf("afterwards it is %s", got)
	}
	status, err = s.Status(t.Context(), 1)
	if testkit.Must(t, err); len(status.Copies) > 0 {
		t.Errorf("still copied: %+v", status.Copies)
	}
}

// A large file that is copied, or waits for it, is under way with its number.
func TestACopyIsUnderWay(t *testing.T) {
	s := mounted(t)
	m := s.claimed("large")[0]
	m.Source.Size = ownSyncSize
	v, err := s.tray.moveAll(t.Context(), []ledger.Outgoing{m})
	testkit.Must(t, err)
	if len(v.large) != 1 {
		t.Fatalf("moved: %+v", v)
	}
	want := Copy{Message: m.ID, Name: "large", Size: ownSyncSize}
	for _, want.Done = range []int64{0, 5} {
		status, err := s.Status(t.Context(), 1)
		if testkit.Must(t, err); len(status.NotTaken) > 0 || len(status.Copies) != 1 ||
			status.Copies[0] != want {
			t.Errorf("the status has %+v, not taken %v", status.Copies, status.NotTaken)
		}
		done := new(atomic.Int64)
		done.Store(5)
		s.tray.setCopying(m, done, reason.Reason{})
	}
}

// A file that is recalled before it is copied goes to failed/.
func TestARecallFromAnotherDisk(t *testing.T) {
	for _, place := range []string{"in outbox", "set aside"} {
		t.Run(place, func(t *testing.T) {
			s := mounted(t)
			m := s.claimed("a")[0]
			if place == "set aside" {
				testkit.Must(t, opened(t, s.tray).SetAside(droppedAt(m), asideAt(m)))
			}
			_, err := s.Recall(t.Context(), string(m.ID))
			testkit.Must(t, err)
			s.file()
			s.claimAll(newFinder(s.tray))
			s.expectTree("outbox/.sealpost/disk.id", "failed/"+string(m.ID)+"/a",
				"failed/"+string(m.ID)+"/WHY.txt")
		})
	}
}

// An entry that is set aside without a message is given back, and one that was sent is removed.
func TestEntriesSetAsideWithoutAClaim(t *testing.T) {
	s := mounted(t)
	put(t, s.at("outbox/.sealpost/FL-LAB_DAT_20251008_007"), "unknown")
	m := s.taken("sent")[0]
	put(t, s.at(asideAt(m)), "sent")
	then := time.Unix(0, m.Source.ModTime)
	testkit.Must(t, os.Chtimes(s.at(asideAt(m)+"/sent"), then, then))
	s.claimAll(newFinder(s.tray))
	if !s.has("sending/*/unknown") || s.count() != 2 {
		t.Errorf("%d messages", s.count())
	}
	if s.has("outbox/.sealpost/FL*") {
		t.Error("something is still set aside")
	}
}

// Nothing is taken from a share of its own, and this is said once.
func TestAnOutboxOnAShareOfItsOwn(t *testing.T) {
	s := mounted(t)
	shared := beneath.Shared
	s.tray.files.Class = &shared
	put(t, s.at("outbox"), "a")
	s.claimAll(newFinder(s.tray))
	status, err := s.Status(t.Context(), 1)
	testkit.Must(t, err)
	if why := status.NotTaken[tray.OutboxPart]; why != reason.New(reason.OwnShare) {
		t.Errorf("the status says %v", status.NotTaken)
	}
	s.expectTree("outbox/a")
}

// The disk of an outbox is away, or another one is there, while a claimed file is on it. The
// message waits and says so. It continues under its number with the disk, whose file ids differ.
func TestTheDiskOfAnOutboxIsAway(t *testing.T) {
	for _, folder := range []string{"outbox", "outbox/@CA-RC"} {
		for _, place := range []string{"claimed", "set aside"} {
			t.Run(folder+", "+place, func(t *testing.T) {
				s := newSealer(t)
				disk := s.mounts(folder)
				m := s.claimedIn(folder, "a")
				if place == "set aside" {
					testkit.Must(t, opened(t, s.tray).SetAside(droppedAt(m), asideAt(m)))
				}
				s.unmounts(folder)
				mkdir(t, s.at(folder))
				testkit.Must(t, os.WriteFile(s.at(folder+"/a"), []byte("another one"), 0o644))
				s.expectAway(m, folder)
				if n := s.count(); n != 2 {
					t.Errorf("%d messages with another file of that name", n)
				}
				s.mountsOn(t.TempDir(), folder)
				put(t, s.at(folder), "of another disk")
				s.expectAway(m, folder)
				if s.count() != 2 {
					t.Error("a file of another disk is taken meanwhile")
				}
				s.unmounts(folder)
				s.mountsCopy(disk, folder)
				s.claimAll(newFinder(s.tray))
				got, err := s.Message(t.Context(), string(m.ID))
				testkit.Must(t, err)
				if got.State != ledger.Taken || !got.Reason.IsZero() || s.count() != 2 {
					t.Errorf("with the disk: %+v, %d messages", got, s.count())
				}
			})
		}
	}
}

// expectAway sweeps, and expects that a message waits for the disk of a folder.
func (s *sealer) expectAway(m ledger.Outgoing, folder string) {
	s.t.Helper()
	s.tray.disks = disks{} // as after a start
	s.claimAll(newFinder(s.tray))
	status, err := s.Status(s.t.Context(), 1)
	testkit.Must(s.t, err)
	if got := s.state(m); got != ledger.Claimed {
		s.t.Errorf("without its disk it is %s", got)
	}
	if why := status.NotTaken[folder]; why != reason.New(reason.OutboxAway, "n", 1) {
		s.t.Errorf("of the folder the status says %v", status.NotTaken)
	}
	got, err := s.Message(s.t.Context(), string(m.ID))
	testkit.Must(s.t, err)
	if got.Reason != reason.New("waits-for-disk") {
		s.t.Errorf("of the message it says %q", got.Reason)
	}
}

// A message that is recalled while its disk is away, or another one is there, is never sent. It
// goes to failed/ with its file once its disk is back, though others are used meanwhile.
func TestARecallWhileTheDiskIsAway(t *testing.T) {
	for _, place := range []string{"claimed", "set aside", "set aside, changed", "filed before"} {
		for _, other := range []string{"nothing", "a folder", "a disk"} {
			t.Run(place+", "+other, func(t *testing.T) {
				s := newSealer(t)
				disk := s.mounts("outbox")
				m := s.claimedIn("outbox", "a")
				if place != "claimed" {
					testkit.Must(t, opened(t, s.tray).SetAside(droppedAt(m), asideAt(m)))
				}
				if place == "set aside, changed" {
					testkit.Must(t, os.WriteFile(s.at(asideAt(m)+"/a"), []byte("more"), 0o644))
				}
				s.unmounts("outbox")
				s.usesMeanwhile(other)
				s.recallAway(m)
				if place == "filed before" { // as by an earlier program
					testkit.Must(t, s.ledger.Update(t.Context(), func(tx *ledger.Tx) error {
						return tx.Filed([]ledger.Outgoing{m}, time.Now())
					}))
				}
				n := s.count()
				if other == "a disk" {
					s.unmounts("outbox")
				}
				s.mountsCopy(disk, "outbox")
				s.tray.disks = disks{} // as after a start
				s.claimAll(newFinder(s.tray))
				if got := s.count(); got != n {
					t.Errorf("%d messages of %d: it is sent after all", got, n)
				}
				s.file()
				s.claimAll(newFinder(s.tray))
				s.expectFound(m, reason.New("recalled"), "failed/"+string(m.ID))
				if got := s.count(); got != n || !s.has("failed/"+string(m.ID)+"/a") ||
					s.has("outbox/a") || s.has("outbox/.sealpost/FL*") {
					t.Errorf("with its disk: %d messages of %d, or it is not in failed", got, n)
				}
			})
		}
	}
}

// usesMeanwhile has a file of another disk, or of the folder below a mount, taken.
func (s *sealer) usesMeanwhile(other string) {
	s.t.Helper()
	switch other {
	case "nothing":
		return
	case "a disk":
		s.mounts("outbox")
	}
	s.tray.disks = disks{} // as after a start
	s.claimAll(newFinder(s.tray))
}

// recallAway recalls a message whose disk is away, and expects that it is not filed without its
// file. Others are taken then.
func (s *sealer) recallAway(m ledger.Outgoing) {
	s.t.Helper()
	recalled, err := s.Recall(s.t.Context(), string(m.ID))
	if err != nil || !recalled.Away {
		s.t.Errorf("the recall says %+v, %v", recalled, err)
	}
	s.expectFound(m, reason.New("recalled-and-away"), "")
	s.file()
	s.claimAll(newFinder(s.tray))
	s.file()
	s.expectFound(m, reason.New("recalled-and-away"), "")
	if s.has("failed/*") {
		s.t.Error("it is filed without its file")
	}
	status, err := s.Status(s.t.Context(), 1)
	testkit.Must(s.t, err)
	if len(status.NotTaken) > 0 {
		s.t.Errorf("it is still said: %v", status.NotTaken)
	}
	put(s.t, s.at("outbox"), "b")
	s.claimAll(newFinder(s.tray))
	if !s.has("sending/*/b") {
		s.t.Error("a file there is not taken meanwhile")
	}
}

// expectFound expects the reason and the folder of a message in a search.
func (s *sealer) expectFound(m ledger.Outgoing, why reason.Reason, folder string) {
	s.t.Helper()
	list, err := s.Find(s.t.Context(), m.Name, 9, false)
	if err != nil || len(list) != 1 || list[0].Reason != why || list[0].Folder != folder {
		s.t.Errorf("found: %+v, %v", list, err)
	}
}

// mountsCopy mounts a copy of a disk: the file ids differ.
func (s *sealer) mountsCopy(disk, folder string) {
	s.t.Helper()
	copied := s.t.TempDir()
	testkit.Must(s.t, exec.Command("cp", "-a", disk+"/.", copied).Run())
	s.mountsOn(copied, folder)
}

// A disk with nothing of a message on it is forgotten. A claimed file that a user then removes is
// withdrawn.
func TestADiskIsForgotten(t *testing.T) {
	s := mounted(t)
	s.claimAll(newFinder(s.tray))
	s.unmounts("outbox")
	s.claimAll(newFinder(s.tray))
	m := s.claimed("a")[0]
	remove(t, s.at("outbox/a"))
	s.claimAll(newFinder(s.tray))
	if got := s.state(m); got != ledger.Withdrawn {
		t.Errorf("it is %s", got)
	}
}

// A disk that goes away without a claimed file is named until it is back, or an admin needs none.
// So is it after a restart.
func TestADiskThatWentAwayIsNamed(t *testing.T) {
	for _, folder := range []string{"outbox", "outbox/@CA-RC"} {
		s := newSealer(t)
		disk := s.mounts(folder)
		s.claimAll(newFinder(s.tray))
		isNamed := func(want bool) {
			t.Helper()
			s.tray.disks = disks{} // as after a start
			s.claimAll(newFinder(s.tray))
			status, err := s.Status(t.Context(), 1)
			testkit.Must(t, err)
			got := status.Trays[0].Left()[reason.TrayBroken]
			isIt := len(got) == 1 && got[0].Name == folder && got[0].Why.Code == reason.DiskGone
			if isIt != want || !want && len(got) > 0 {
				t.Errorf("%s, named %t: %v", folder, want, status.NotTaken)
			}
		}
		s.unmounts(folder)
		isNamed(true)
		isNamed(true)
		s.mountsOn(disk, folder)
		isNamed(false)
		s.unmounts(folder)
		isNamed(true)
		mkdir(t, s.at(folder+"/.sealpost"))
		isNamed(false)
		remove(t, s.at(folder+"/.sealpost"))
		isNamed(false)
	}
}

// claimedIn drops a file into a folder of the tray, and claims it after a sweep of the folder.
func (s *sealer) claimedIn(folder, name string) ledger.Outgoing {
	s.t.Helper()
	f := newFinder(s.tray)
	s.claimAll(f)
	put(s.t, s.at(folder), name)
	rows, err := s.tray.claimRows(s.t.Context(), []found{examined(s.t, f,
		strings.TrimPrefix(folder+"/"+name, "outbox/"))})
	testkit.Must(s.t, err)
	s.desk.release(rows...)
	return rows[0]
}

// sending/, delivered/ or failed/ is a disk of its own, or a link. The status names the folder and
// what to do, and messages are filed once that is mended. A link as failed/ holds up no delivery.
func TestAPartOfATrayIsApart(t *testing.T) {
	for part, want := range map[string]reason.Reason{
		"sending":   reason.New(reason.FolderApart, "other", "delivered, failed"),
		"delivered": reason.New(reason.FolderApart, "other", "sending"),
		"failed":    reason.New(reason.FolderApart, "other", "sending"),
	} {
		t.Run(part, func(t *testing.T) {
			s := newSealer(t)
			s.mounts(part)
			list := s.taken("a", "b")
			s.deliver(list[0])
			_, err := s.Recall(t.Context(), string(list[1].ID))
			testkit.Must(t, err)
			s.file()
			s.claimAll(newFinder(s.tray))
			status, err := s.Status(t.Context(), 1)
			testkit.Must(t, err)
			if len(status.NotTaken) != 1 || status.NotTaken[part] != want {
				t.Errorf("the status says %v", status.NotTaken)
			}
			if got := status.Trays[0].Left()[reason.TrayBroken]; len(got) != 1 {
				t.Errorf("of the folder: %v", got)
			}
			if part == "sending" {
				disk := t.TempDir()
				testkit.Must(t, exec.Command("cp", "-a", s.at(part)+"/.", disk).Run())
				s.unmounts(part)
				testkit.Must(t, exec.Command("cp", "-a", disk+"/.", s.at(part)).Run())
			} else {
				s.unmounts(part)
			}
			s.file()
			got, err := s.Message(t.Context(), string(list[0].ID))
			if err != nil || !got.Filed || !got.Reason.IsZero() ||
				!s.has("failed/"+string(list[1].ID)+"/b") {
				t.Errorf("afterwards: %+v, %v", got, err)
			}
		})
	}
	s := newSealer(t)
	remove(t, s.at("failed"))
	testkit.Must(t, os.Symlink(t.TempDir(), s.at("failed")))
	m := s.taken("a")[0]
	s.deliver(m)
	s.file()
	s.claimAll(newFinder(s.tray))
	status, err := s.Status(t.Context(), 1)
	testkit.Must(t, err)
	if why := status.NotTaken["failed"]; why != reason.New(reason.FolderIsLink) {
		t.Errorf("of a link the status says %v", status.NotTaken)
	}
	if !status.Latest[0].Filed {
		t.Error("a link as failed/ holds up a delivered message")
	}
}
