package outbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"

	"sealpost/agent/ledger"
	"sealpost/agent/tray"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// claimed claims files as the finder does, and returns their rows; nothing is moved yet.
func (s *sealer) claimed(names ...string) []ledger.Outgoing {
	s.t.Helper()
	f, h := newFinder(s.tray), opened(s.t, s.tray)
	var group []found
	for _, name := range names {
		put(s.t, s.tray.Outbox(), name)
		ready, why := f.examine(h, name)
		if ready == nil {
			s.t.Fatalf("%s is not taken: %s", name, why)
		}
		group = append(group, *ready)
	}
	list, err := s.tray.claimRows(s.t.Context(), group)
	if err != nil {
		s.t.Fatal(err)
	}
	s.desk.release(list...)
	return list
}

// deliver has a recipient sign for messages, in envelopes of their own.
func (s *sealer) deliver(list ...ledger.Outgoing) {
	s.t.Helper()
	s.update(func(tx *ledger.Tx) error {
		for _, m := range list {
			e := ledger.Envelope{ID: id.Random128[id.Envelope](), Address: m.Address,
				Recipients: []ledger.Recipient{{Site: "CA-RC", Key: "k"}}}
			if err := tx.Seal(e, []ledger.SealedMessage{{Seq: m.Seq, UID: m.UID, Digest: "digest"}},
				ledger.Taken); err != nil {
				return err
			}
			if err := tx.Publish(e.ID, "incarnation", 1, time.Now()); err != nil {
				return err
			}
			if err := tx.Answer(ledger.Answer{Envelope: e.ID, Site: "CA-RC", Receipt: "r",
				Time: time.Now(), Outcomes: []ledger.Outcome{
					{UID: m.UID, Outcome: ledger.OutcomeDelivered}}}); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *sealer) update(do func(*ledger.Tx) error) {
	s.t.Helper()
	if err := s.ledger.Update(s.t.Context(), do); err != nil {
		s.t.Fatal(err)
	}
}

func (s *sealer) file() {
	s.t.Helper()
	if next, err := s.tray.file(s.t.Context(), 0); next != 0 || err != nil {
		s.t.Fatalf("there is more after %d: %v", next, err)
	}
}

// expectTree compares all files under the tray, but for those of the state folder, which is the
// same one here.
func (s *sealer) expectTree(want ...string) {
	s.t.Helper()
	var have []string
	for _, dir := range []string{s.tray.Outbox(), s.tray.Sending(), s.tray.Delivered(),
		s.tray.Failed()} {
		err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
			rel, _ := filepath.Rel(s.tray.Dir, path)
			empty := err == nil && e.IsDir() && path != dir && isBare(path)
			if err == nil && (!e.IsDir() || empty) {
				have = append(have, filepath.ToSlash(rel))
			}
			return err
		})
		if err != nil {
			s.t.Fatal(err)
		}
	}
	slices.Sort(want)
	if slices.Sort(have); !slices.Equal(have, want) {
		s.t.Errorf("in the tray:\n%s\nwant:\n%s", strings.Join(have, "\n"),
			strings.Join(want, "\n"))
	}
}

// group is the name of the folder that these share.
func group(list []ledger.Outgoing) string { return folderName(list[0]) }

// Files that are claimed together lie in one folder until all are delivered, and are moved with it.
func TestAClaimSharesAFolder(t *testing.T) {
	s := newSealer(t)
	list := s.taken("c", "a", "b")
	shared := group(list)
	if want := id.FormatGroup(list[0].ID, 1, 3); shared != want ||
		!strings.HasSuffix(shared, "_001-003") {
		t.Errorf("the folder is %s, want %s", shared, want)
	}
	s.expectTree("sending/"+shared+"/"+groupNote, "sending/"+shared+"/a", "sending/"+shared+"/b",
		"sending/"+shared+"/c")
	single := s.taken("d")[0]
	if folderName(single) != string(single.ID) {
		t.Errorf("what is claimed alone lies in %s", folderName(single))
	}
	s.deliver(append(list, single)...)
	s.file()
	s.expectTree("delivered/"+shared+"/a", "delivered/"+shared+"/b", "delivered/"+shared+"/c",
		"delivered/"+string(single.ID)+"/d")
	if r, err := s.Record(t.Context(), string(list[1].ID)); err != nil ||
		r.Place != filepath.Join(s.tray.Delivered(), shared, "a") || !r.Filed ||
		r.Folder != "delivered/"+shared {
		t.Errorf("the record says %s in %s: %v", r.Place, r.Folder, err)
	}
}

// A message that ends before the others of its folder goes to its place all the same. The folder
// goes with the last one.
func TestAFolderIsLeftOneByOne(t *testing.T) {
	s := newSealer(t)
	list := s.taken("a", "b", "c", "d")
	shared := group(list)
	s.deliver(list[0])
	s.file()
	s.expectTree("delivered/"+shared+"/a", "sending/"+shared+"/"+groupNote, "sending/"+shared+"/b",
		"sending/"+shared+"/c", "sending/"+shared+"/d")
	if _, err := s.Recall(t.Context(), string(list[1].ID)); err != nil {
		t.Fatal(err)
	}
	s.file()
	failed := "failed/" + string(list[1].ID)
	for i, want := range []string{"delivered/" + shared, failed, "sending/" + shared} {
		if m, err := s.Message(t.Context(), string(list[i].ID)); err != nil || m.Folder != want {
			t.Errorf("%s is said to lie in %q, want %s: %v", m.Name, m.Folder, want, err)
		}
	}
	s.expectTree("delivered/"+shared+"/a", failed+"/b", failed+"/WHY.txt",
		"sending/"+shared+"/"+groupNote, "sending/"+shared+"/c", "sending/"+shared+"/d")
	if err := os.Remove(s.at(sourceAt(list[2]))); err != nil { // by its user, to have it back
		t.Fatal(err)
	}
	if err := s.tray.withdraw(t.Context(), opened(t, s.tray), list[2], ledger.Taken,
		removedBefore()); err != nil {
		t.Fatal(err)
	}
	s.deliver(list[3])
	s.file()
	s.expectTree("delivered/"+shared+"/a", "delivered/"+shared+"/d", failed+"/b", failed+"/WHY.txt")
}

// A folder that cannot be moved as a whole, because of another of its name, is emptied file by
// file. A file that a user has taken away stays there, without a note.
func TestAFolderIsMovedWhateverIsInItsWay(t *testing.T) {
	s := newSealer(t)
	list := s.taken("a", "b", "c")
	shared := group(list)
	put(t, filepath.Join(s.tray.Delivered(), shared), "my notes")
	if err := os.Remove(s.at(sourceAt(list[1]))); err != nil {
		t.Fatal(err)
	}
	s.deliver(list...)
	s.file()
	s.expectTree("delivered/"+shared+"/a", "delivered/"+shared+"/c",
		"delivered/"+shared+"/my notes")
}

// One in the way of a single file is not overwritten: it waits, and the others go on.
func TestNoFileInDeliveredIsReplaced(t *testing.T) {
	s := newSealer(t)
	list := s.taken("a", "b")
	shared := group(list)
	put(t, filepath.Join(s.tray.Delivered(), shared), "a")
	s.deliver(list...)
	s.file()
	s.expectTree("delivered/"+shared+"/a", "delivered/"+shared+"/b", "sending/"+shared+"/a",
		"sending/"+shared+"/"+groupNote)
	if err := os.Remove(filepath.Join(s.tray.Delivered(), shared, "a")); err != nil {
		t.Fatal(err)
	}
	s.file()
	s.expectTree("delivered/"+shared+"/a", "delivered/"+shared+"/b")
}

// A folder of which only a part was listed, because one listing is full, is not torn apart.
func TestMoreThanOneListing(t *testing.T) {
	s := newSealer(t)
	var all []ledger.Outgoing
	for i := range 6 { // of 100 each: the sixth begins within the first listing
		var names []string
		for j := range 100 {
			names = append(names, fmt.Sprintf("%d-%02d", i, j))
		}
		all = append(all, s.taken(names...)...)
	}
	s.deliver(all...)
	next, err := s.tray.file(t.Context(), 0)
	if err != nil || next != all[499].Seq {
		t.Fatalf("the next comes after %d: %v", next, err)
	}
	count := func(dir string) int {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	if whole, rest := count(s.tray.Delivered()), count(s.tray.Sending()); whole != 5 || rest != 1 {
		t.Errorf("%d folders are moved and %d are left", whole, rest)
	}
	s.file()
	if n := count(s.tray.Delivered()); n != 6 || count(s.tray.Sending()) != 0 {
		t.Errorf("%d folders are moved", n)
	}
}

// However many files cannot be moved, later ones are.
func TestWhatCannotBeMovedHoldsUpNothing(t *testing.T) {
	s := newSealer(t)
	var names []string
	for i := range fileGroup + 10 {
		names = append(names, fmt.Sprintf("%03d", i))
	}
	list := s.taken(names...)
	for _, m := range list[:fileGroup+5] {
		put(t, s.at(placeAt(m)), m.Name)
	}
	s.deliver(list...)
	for after := int64(0); ; {
		var err error
		if after, err = s.tray.file(t.Context(), after); err != nil {
			t.Fatal(err)
		}
		if after == 0 {
			break
		}
	}
	for i, m := range list {
		if exists(s.at(sourceAt(m))) != (i < fileGroup+5) {
			t.Errorf("%s is in sending: %t", m.Name, exists(s.at(sourceAt(m))))
		}
	}
}

// After a crash between the rows and the renames, or within them, the claim goes on. This holds for
// a rest of a group that does not fit into one look too, and a note that is not whole is written
// again.
func TestAGroupWhoseClaimWasCutShort(t *testing.T) {
	for name, crash := range map[string]func(s *sealer, list []ledger.Outgoing){
		"before the folder": func(*sealer, []ledger.Outgoing) {},
		"before the note": func(s *sealer,
			list []ledger.Outgoing) {
			mkdir(s.t, s.at(folderAt(list[0])))
		},
		"within the note": func(s *sealer,
			list []ledger.Outgoing) {
			put(s.t, s.at(folderAt(list[0])), groupNote)
		},
		"within the renames": func(s *sealer,
			list []ledger.Outgoing) {
			s.tray.moveAll(s.t.Context(), list[:2])
		},
		"within a rename that is a link first": func(s *sealer, list []ledger.Outgoing) {
			s.tray.moveAll(s.t.Context(), list[:2])
			if err := os.Link(s.at(droppedAt(list[2])), s.at(sourceAt(list[2]))); err != nil {
				s.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSealer(t)
			list := s.claimed("a", "b", "c")
			crash(s, list)
			s.resumeClaims(list[2:]...) // some of them are seen first
			s.recover()
			shared := "sending/" + group(list) + "/"
			s.expectTree(shared+groupNote, shared+"a", shared+"b", shared+"c")
			note, err := opened(t, s.tray).readNote(list[0])
			if err != nil || !slices.Equal(note.Names, []string{"a", "b", "c"}) {
				t.Errorf("the note says %v: %v", note.Names, err)
			}
			for _, m := range list {
				if state := s.state(m); state != ledger.Taken {
					t.Errorf("%s is %s", m.Name, state)
				}
			}
		})
	}
}

// Of a group whose ledger is lost each file gets the identity back that it had, and its address.
func TestAGroupIsTakenUpAgain(t *testing.T) {
	s := newSealer(t)
	mkdir(t, filepath.Join(s.tray.Outbox(), "@CA-RC"))
	group, other := s.taken("a", "b", "c"), s.taken("@CA-RC/d", "@CA-RC/e")
	if err := os.Remove(s.at(sourceAt(group[1]))); err != nil {
		t.Fatal(err)
	}
	all := slices.Concat(group[:1], group[2:], other)
	s.forget()
	if err := s.tray.adopt(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		var now ledger.Outgoing
		err := s.ledger.View(t.Context(), func(tx *ledger.Tx) (err error) {
			now,
				err = tx.Message(string(m.UID))
			return err
		})
		if err != nil || now.ID != m.ID || now.FingerprintKey != m.FingerprintKey ||
			now.Group != m.Group || now.Dir != m.Dir || now.Address != m.Address ||
			now.Name != m.Name {
			t.Errorf("%s was %+v and is %+v: %v", m.Name, m, now, err)
		}
	}
	// and once more, with a ledger that knows them
	if err := s.tray.adopt(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := s.count(); n != len(all) {
		t.Errorf("%d messages, want %d", n, len(all))
	}
	if notes := s.leftAlone(); len(notes) > 0 {
		t.Errorf("left alone: %v", notes)
	}
}

// A note that is not whole, or names a missing file, stops its folder. Users learn of it.
func TestAGroupWithAStrangeNoteIsLeftAlone(t *testing.T) {
	for name, text := range map[string]string{
		"empty":              "",
		"cut short":          `{"names":["a",`,
		"too few names":      `{"names":["a"]}`,
		"too many names":     `{"names":["a","b","c"]}`,
		"out of the folder":  `{"names":["a","../b"]}`,
		"its own folder":     `{"names":["a","."]}`,
		"another's address":  `{"folder":"../x","names":["a","b"]}`,
		"no address":         `{"folder":"x","names":["a","b"]}`,
		"a folder in it":     `{"names":["a","sub"]}`,
		"an impossible site": `{"folder":"@no site","names":["a","b"]}`,
	} {
		t.Run(name, func(t *testing.T) {
			s := newSealer(t)
			list := s.taken("a", "b")
			folder := s.at(folderAt(list[0]))
			mkdir(t, filepath.Join(folder, "sub"))
			if err := os.WriteFile(filepath.Join(folder, groupNote), []byte(text),
				0o644); err != nil {
				t.Fatal(err)
			}
			s.forget()
			if err := s.tray.adopt(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := s.count(); n != 0 {
				t.Errorf("%d messages are taken up", n)
			}
			if why := s.leftAlone()[filepath.Join("sending",
				group(list))]; !strings.Contains(why.String(), groupNote) {
				t.Errorf("people are told %q", why)
			}
		})
	}
}

// The folder of a group of which nothing was moved is removed. One that only has the name of a
// group stays.
func TestFoldersOfGroupsThatNeverWere(t *testing.T) {
	s := newSealer(t)
	mkdir(t, filepath.Join(s.tray.Sending(), "FL-LAB_DAT_20251008_001-003"))
	put(t, filepath.Join(s.tray.Sending(), "FL-LAB_DAT_20251008_004-006"), groupNote)
	put(t, filepath.Join(s.tray.Sending(), "CA-RC_DAT_20251008_001-003"), "mine")
	if err := s.tray.adopt(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.expectTree("sending/CA-RC_DAT_20251008_001-003/mine")
	if notes := s.leftAlone(); len(notes) != 1 {
		t.Errorf("people are told %v", notes)
	}
}

// resumeClaims resumes claims as the finder does.
func (s *sealer) resumeClaims(list ...ledger.Outgoing) {
	s.t.Helper()
	f := newFinder(s.tray)
	f.claimers, f.bulkWork = new(errgroup.Group), new(errgroup.Group)
	if err := errors.Join(f.resumeClaims(s.t.Context(), list), f.claimers.Wait(),
		f.bulkWork.Wait()); err != nil {
		s.t.Fatal(err)
	}
}

// recover goes on with all claims, as a sweep does.
func (s *sealer) recover() {
	s.t.Helper()
	f := newFinder(s.tray)
	f.claimers, f.bulkWork = new(errgroup.Group), new(errgroup.Group)
	if err := errors.Join(f.recoverClaims(s.t.Context(), opened(s.t, s.tray)), f.claimers.Wait(),
		f.bulkWork.Wait()); err != nil {
		s.t.Fatal(err)
	}
}

// A row that was read as claimed, and whose message has ended since, is left alone. No folder is
// made for it again, and a new file of its name is not taken for it.
func TestAClaimThatHasEndedIsNotGoneOnWith(t *testing.T) {
	s := newSealer(t)
	list := s.taken("a", "b")
	stale := slices.Clone(list)
	for i := range stale {
		stale[i].State = ledger.Claimed
	}
	s.deliver(list...)
	s.file()
	put(t, s.tray.Outbox(), "a")
	s.resumeClaims(stale...)
	delivered := "delivered/" + group(list)
	s.expectTree(delivered+"/a", delivered+"/b", "outbox/a")
	if ready, why := newFinder(s.tray).examine(opened(t, s.tray), "a"); ready == nil {
		t.Errorf("a new file of that name is not taken: %s", why)
	}
	if s.held(list[0].UID) || s.held(list[1].UID) {
		t.Error("somebody holds it still")
	}
}

// Notes of ours are never sent, and users learn of it.
func TestNotesAreNotSent(t *testing.T) {
	s := newSealer(t)
	f := newFinder(s.tray)
	for _, name := range []string{groupNote, addressNote, strings.ToUpper(groupNote)} {
		put(t, s.tray.Outbox(), name)
		if ready, why := f.examine(opened(t, f.t), name); ready != nil ||
			why != reason.New("own-note") || s.LeavesAlone("outbox",
			name) != reason.New("own-note") {
			t.Errorf("%s: ready %t, %q", name, ready != nil, why)
		}
	}
}

// One file has two names on a disk that takes them for the same. Its second name is not in the
// folder once it is moved.
func TestOneFileUnderTwoNames(t *testing.T) {
	s := newSealer(t)
	put(t, s.tray.Outbox(), "data.CSV")
	if err := os.Link(filepath.Join(s.tray.Outbox(), "data.CSV"),
		filepath.Join(s.tray.Outbox(), "data.csv")); err != nil {
		t.Skipf("SKIPPED: no file can have two names here: %v", err)
	}
	f := newFinder(s.tray)
	var both []found
	for _, name := range []string{"data.CSV", "data.csv"} {
		ready, why := f.examine(opened(t, f.t), name)
		if ready == nil {
			t.Fatalf("%s is not taken: %s", name, why)
		}
		both = append(both, *ready)
	}
	list, err := s.tray.claimRows(t.Context(), both)
	if err != nil || list[0].SharesFolder(list[1]) {
		t.Errorf("both lie in %s: %v", folderName(list[0]), err)
	}
}

// A file in the place of a folder is a user's, and stays.
func TestWhatLiesWhereAFolderBelongsStays(t *testing.T) {
	s := newSealer(t)
	list := s.taken("a", "b", "c")
	if _, err := s.Recall(t.Context(), string(list[0].ID)); err != nil {
		t.Fatal(err)
	}
	s.deliver(list[1])
	put(t, s.tray.Failed(), string(list[0].ID))
	put(t, s.tray.Delivered(), group(list))
	s.file()
	sending := "sending/" + group(list) + "/"
	s.expectTree("failed/"+string(list[0].ID), "delivered/"+group(list), sending+groupNote,
		sending+"a", sending+"b", sending+"c")
}

// Files that systems leave in a shared folder go with it. A user's file there stays, and a note
// names its place.
func TestWhatElseLiesInASharedFolder(t *testing.T) {
	s := newSealer(t)
	list := s.taken("a", "b")
	sending, delivered := "sending/"+group(list), "delivered/"+group(list)
	put(t, s.at(folderAt(list[0])), ".DS_Store")
	put(t, s.at(folderAt(list[0])), "my own")
	s.deliver(list[0])
	s.file()
	if notes := s.leftAlone(); len(notes) > 0 {
		t.Errorf("told while another is under way: %v", notes)
	}
	s.deliver(list[1])
	s.file()
	s.expectTree(delivered+"/a", delivered+"/b", sending+"/"+groupNote, sending+"/.DS_Store",
		sending+"/my own")
	if notes := s.leftAlone(); notes[filepath.FromSlash(sending)] != reason.New("strange-sending") {
		t.Errorf("people are told %v", notes)
	}
	if err := os.Remove(filepath.Join(s.at(folderAt(list[0])), "my own")); err != nil {
		t.Fatal(err)
	}
	if err := s.tray.adopt(t.Context()); err != nil { // the next start
		t.Fatal(err)
	}
	s.expectTree(delivered+"/a", delivered+"/b")
}

// A group that the ledger knows needs no note.
func TestANoteThatIsNotNeededMayBeGone(t *testing.T) {
	s := newSealer(t)
	list := s.taken("a", "b")
	if err := os.Remove(filepath.Join(s.at(folderAt(list[0])), groupNote)); err != nil {
		t.Fatal(err)
	}
	if err := s.tray.adopt(t.Context()); err != nil {
		t.Fatal(err)
	}
	if notes := s.leftAlone(); len(notes) > 0 {
		t.Errorf("people are told %v", notes)
	}
	s.deliver(list...)
	s.file()
	s.expectTree("delivered/"+group(list)+"/a", "delivered/"+group(list)+"/b")
}

// A failed message is explained also where its file was taken away. A message that was recalled
// before it was moved is taken out of outbox/.
func TestWhatFailedAndIsNotInItsFolder(t *testing.T) {
	s := newSealer(t)
	list := s.taken("a", "b")
	if err := os.Remove(s.at(sourceAt(list[0]))); err != nil {
		t.Fatal(err)
	}
	s.update(func(tx *ledger.Tx) error {
		return tx.Fail(list[0].UID, reason.Text("refused"), time.Now())
	})
	s.file()
	sending := "sending/" + group(list) + "/"
	s.expectTree("failed/"+string(list[0].ID)+"/WHY.txt", sending+groupNote, sending+"b")

	for _, names := range [][]string{{"c"}, {"d", "e"}} {
		t.Run(names[0], func(t *testing.T) {
			s := newSealer(t)
			m := s.claimed(names...)[0]
			if _, err := s.Recall(t.Context(), string(m.ID)); err != nil {
				t.Fatal(err)
			}
			s.file()
			want := []string{"failed/" + string(m.ID) + "/WHY.txt",
				"failed/" + string(m.ID) + "/" + m.Name}
			for _, other := range names[1:] {
				want = append(want, "outbox/"+other)
			}
			s.expectTree(want...)
		})
	}
}

// Found files are claimed in their order, none twice. Each full claim fills two envelopes, however
// many files that is.
func TestClaimsFillEnvelopes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := rapid.Custom(func(t *rapid.T) found {
			return found{name: rapid.StringMatching(`[a-z]{1,90}`).Draw(t, "name"),
				folder: rapid.IntRange(0, 19).Draw(t, "folder") == 0,
				source: ledger.Source{
					Size: rapid.SampledFrom([]int64{0, 100, 4 << 10, 100 << 10, smallContent,
						smallContent + 1}).Draw(t, "size")}}
		})
		list := rapid.SliceOfN(draw, 0, 300).Draw(t, "found")
		for i := range list {
			list[i].source.ModTime, list[i].source.File = int64(i), fmt.Sprint(i)
		}
		var b batches
		for _, f := range list {
			b.add(f)
		}
		claims := append(b.full, b.rest())
		next := int64(0)
		for n, claim := range claims {
			messages := make([]ledger.Outgoing, len(claim))
			for i, f := range claim {
				if messages[i] = (ledger.Outgoing{Name: f.name, Folder: f.folder,
					Source: f.source}); f.source.ModTime != next {
					t.Fatalf("number %d comes instead of %d", f.source.ModTime, next)
				}
				next++
			}
			sizes := len(arrange(messages))
			if sizes > batchEnvelopes || n < len(claims)-1 && sizes != batchEnvelopes {
				t.Errorf("claim %d of %d has %d envelopes", n+1, len(claims), sizes)
			}
		}
		if next != int64(len(list)) {
			t.Errorf("%d of %d are claimed", next, len(list))
		}
	})
	var b batches
	for i := range 3*claimGroup + 1 {
		b.add(found{name: fmt.Sprint(i), folder: true})
	}
	if len(b.full) != 3 || len(b.rest()) != 1 {
		t.Errorf("folders are claimed %d groups at once", len(b.full))
	}
}

// arrange loses nothing, keeps the order, and lets only small files from one place share a folder.
// A folder has no more than one envelope holds.
func TestWhatSharesAFolder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := rapid.Custom(func(t *rapid.T) ledger.Outgoing {
			return ledger.Outgoing{Name: rapid.StringMatching(`[a-z]{1,90}`).Draw(t, "name"),
				Dir:    rapid.SampledFrom([]string{"", "", "@A", "@B"}).Draw(t, "dir"),
				Folder: rapid.IntRange(0, 9).Draw(t, "folder") == 0,
				Source: ledger.Source{Size: rapid.Int64Range(0, 900<<10).Draw(t, "size")}}
		})
		list := rapid.SliceOfN(draw, 0, 60).Draw(t, "claim")
		for i := range list {
			list[i].Seq = int64(i)
		}
		sizes := arrange(list)
		seen := map[int64]bool{}
		for i, m := range list {
			seen[m.Seq] = true
			if i > 0 && m.Dir == list[i-1].Dir && m.Folder == list[i-1].Folder &&
				(m.Source.Size > smallContent) == (list[i-1].Source.Size > smallContent) &&
				m.Seq < list[i-1].Seq {
				t.Errorf("%d comes after %d", m.Seq, list[i-1].Seq)
			}
		}
		if len(seen) != len(list) {
			t.Errorf("%d of %d are left", len(seen), len(list))
		}
		rest := list
		for _, n := range sizes {
			part := rest[:n]
			rest = rest[n:]
			if len(fitting(part, groupRecipients)) != n {
				t.Errorf("%d do not fit into one envelope", n)
			}
			for _, m := range part {
				if m.Dir != part[0].Dir || m.Folder || m.Source.Size > smallContent {
					t.Errorf("%+v shares a folder with %+v", m, part[0])
				}
			}
		}
		for _, m := range rest {
			if !m.Folder && m.Source.Size <= smallContent {
				t.Errorf("%+v might share a folder", m)
			}
		}
	})
}

// An envelope is not filled with a part of a folder that fits into the next one as a whole.
func TestAFolderIsSealedAsAWhole(t *testing.T) {
	var list []ledger.Outgoing
	for i := range int64(300) {
		m := ledger.Outgoing{Name: "data.csv", Kind: "DAT", Day: "20251008", Number: i + 1,
			Group: ledger.Group{First: 1, Last: 100}, Source: ledger.Source{Size: 4096}}
		if i >= 100 {
			m.Group = ledger.Group{First: 101, Last: 300}
		}
		list = append(list, m)
	}
	if n := len(fitting(list, 1)); n != 100 {
		t.Errorf("%d, want the first folder", n)
	}
	rest := list[100:]
	if n := len(fitting(rest, 1)); n != 200 {
		t.Errorf("%d, want the second folder", n)
	}
	if n := len(fitting(rest, envelopeForMany)); n == 0 || n >= 200 {
		t.Errorf("%d of a folder that does not fit as a whole", n)
	}
}

const envelopeForMany = 64

func (s *sealer) count() (n int) {
	s.t.Helper()
	err := s.ledger.View(s.t.Context(), func(tx *ledger.Tx) error {
		list, err := tx.Latest(1000)
		n = len(list)
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// forget has the outbox go on with an empty ledger.
func (s *sealer) forget() {
	s.t.Helper()
	s.forgetBut(nil)
}

// forgetBut does the same, and keeps the numbers that were used.
func (s *sealer) forgetBut(numbers []byte) {
	s.t.Helper()
	dir := s.t.TempDir()
	if numbers != nil {
		if err := os.WriteFile(filepath.Join(dir, "numbers.json"), numbers, 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	l, err := ledger.Open(filepath.Join(dir, "ledger.db"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if err := l.Close(); err != nil {
			s.t.Error(err)
		}
	})
	s.ledger, s.tray.ledger = l, l
}

func mkdir(t testing.TB, path string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o777); err != nil {
		t.Fatal(err)
	}
}

func FuzzNote(f *testing.F) {
	for _, content := range []groupContent{{Names: []string{"a", "b"}},
		{Dir: "@CA-RC", Names: []string{"a", "b"}}} {
		text, err := json.Marshal(content)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"names":["..","a/b"]}`))
	s := newSealer(f)
	put(f, filepath.Join(s.tray.Sending(), "FL-LAB_DAT_20251008_001-002"), "a")
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(filepath.Join(s.tray.Sending(), "FL-LAB_DAT_20251008_001-002",
			groupNote), text, 0o644); err != nil {
			t.Fatal(err)
		}
		list, err := opened(t, s.tray).strangersIn(t.Context(), "FL-LAB_DAT_20251008_001-002")
		if err != nil {
			return
		}
		for _, m := range list {
			if m.Name != "a" || m.Dir != "" && !tray.IsAddress(m.Dir) {
				t.Errorf("%q makes %+v", text, m)
			}
		}
	})
}
