package outbox

import (
	"os"
	"slices"
	"testing"
	"time"

	"sealpost/agent/ledger"
	"sealpost/agent/tray"
	"sealpost/internal/reason"
	"sealpost/internal/testkit"
)

// A file that a user renames in a shared folder is the same file, and goes where its message goes.
func TestAFileThatIsRenamedInASharedFolder(t *testing.T) {
	for name, answered := range map[string]int{"with all others": 3, "before the others": 1} {
		t.Run(name, func(t *testing.T) {
			s := newSealer(t)
			list := s.taken("a", "b", "c")
			shared := folderAt(list[0])
			if err := os.Rename(s.at(sourceAt(list[0])), s.at(shared+"/renamed")); err != nil {
				t.Fatal(err)
			}
			s.deliver(list[:answered]...)
			s.file()
			s.deliver(list[answered:]...)
			s.file()
			m := list[0]
			m.State = ledger.Delivered
			s.expectTree(placeAt(m)+"/b", placeAt(m)+"/c", placeAt(m)+"/renamed")
			if told := s.leftAlone(); len(told) > 0 {
				t.Errorf("users are told %v", told)
			}
		})
	}
}

// A file that is edited in sending/ after it was sealed differs from the sent one. Its message
// reports that when it has ended.
func TestWhatIsEditedInSendingIsTold(t *testing.T) {
	s := newSealer(t)
	list := s.taken("edited", "kept")
	s.deliver(list...)
	if err := os.WriteFile(s.at(sourceAt(list[0])), []byte("edited afterwards"),
		0o644); err != nil {
		t.Fatal(err)
	}
	s.file()
	for i, want := range []reason.Reason{reason.New("changed-in-sending"), {}} {
		m, err := s.Message(t.Context(), string(list[i].ID))
		if err != nil || m.Reason != want || !m.Filed {
			t.Errorf("%s: filed %t, %q, %v", list[i].Name, m.Filed, m.Reason, err)
		}
	}
}

// A user may delete delivered/ or failed/. The next message and the next sweep make it again, and
// nothing is reported.
func TestAFinalFolderThatIsDeletedIsMadeAgain(t *testing.T) {
	s := newSealer(t)
	list := s.taken("a", "b")
	for _, part := range []string{"delivered", "failed"} {
		if err := os.RemoveAll(s.at(part)); err != nil {
			t.Fatal(err)
		}
	}
	s.deliver(list...)
	s.file()
	m := list[0]
	m.State = ledger.Delivered
	s.expectTree(placeAt(m)+"/a", placeAt(m)+"/b")
	for _, part := range []string{"delivered", "failed"} {
		if err := os.RemoveAll(s.at(part)); err != nil {
			t.Fatal(err)
		}
	}
	f := newFinder(s.tray)
	f.watch = s.tray.files.NewWatch(time.Minute, s.tray.hearAstray)
	if err := f.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !exists(s.at("delivered")) || !exists(s.at("failed")) || len(s.tray.notes) > 0 {
		t.Errorf("users are told %v", s.tray.notes)
	}
}

// Nothing is made where the folders of the tray are gone together: its disk is away.
func TestNoFinalFolderIsMadeWhileTheDiskIsAway(t *testing.T) {
	s := newSealer(t)
	s.deliver(s.taken("a")...)
	for _, part := range []string{"sending", "delivered"} {
		rename(t, s.at(part), s.at("away-"+part))
	}
	s.file()
	if exists(s.at("delivered")) {
		t.Error("delivered is made")
	}
}

// A sweep notes files that users put straight into the folders of messages. It drops the notes once
// they have gone.
func TestWhatLiesAstrayIsTold(t *testing.T) {
	s := newSealer(t)
	m := s.taken("a")[0]
	for _, part := range []string{"sending/x", "delivered/x", "failed/x"} {
		put(t, s.tray.Dir, part)
	}
	put(t, s.tray.Dir, "sending/Thumbs.db")
	mkdir(t, s.at("sending/FL-LAB_DAT_20251008_777"))
	mkdir(t, s.at("delivered/FL-LAB_DAT_20251008_777")) // of an older ledger
	f := newFinder(s.tray)
	f.watch = s.tray.files.NewWatch(time.Minute, s.tray.hearAstray)
	sweep := func() map[string]reason.Reason {
		t.Helper()
		if err := f.sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.tray.mu.Lock()
		defer s.tray.mu.Unlock()
		return s.tray.notes
	}
	told := sweep()
	for _, rel := range []string{"sending/x", "delivered/x", "failed/x",
		"sending/FL-LAB_DAT_20251008_777"} {
		if told[rel] != reason.New("strange-sending") {
			t.Errorf("%s: %q", rel, told[rel])
		}
	}
	if len(told) != 4 {
		t.Errorf("told: %v", told)
	}
	remove(t, s.at("sending/x"))
	s.update(func(tx *ledger.Tx) error {
		_, err := tx.Advance(m.UID, ledger.Taken, ledger.Withdrawn, reason.Text("gone"))
		return err
	})
	if err := os.Chtimes(s.at("sending"), time.Time{}, time.Now()); err != nil {
		t.Fatal(err)
	}
	f.looked[tray.SendingPart] = looked{} // the folder is looked through again
	if told = sweep(); !told["sending/x"].IsZero() ||
		told[folderAt(m)] != reason.New("ended-elsewhere",
			"state", ledger.Withdrawn.Reason()) {
		t.Errorf("afterwards: %v", told)
	}
}

// The system's notifications name entries astray at once.
func TestWhatLiesAstrayIsHeardOf(t *testing.T) {
	s := newSealer(t)
	m := s.taken("a")[0]
	put(t, s.at("delivered"), "data.csv")
	put(t, s.at("delivered"), ".data.csv.swp")
	s.tray.hearAstray("delivered", "data.csv")
	s.tray.hearAstray("delivered", folderName(m))
	s.tray.hearAstray("delivered", ".data.csv.swp")
	status, err := s.Status(t.Context(), 1)
	if err != nil || len(status.NotTaken) != 1 ||
		status.NotTaken["delivered/data.csv"] != reason.New("strange-sending") {
		t.Errorf("%v, %v", status.NotTaken, err)
	}
}

// A message whose folder or file a user has taken away is not said to lie there.
func TestAFiledMessageThatIsTakenAway(t *testing.T) {
	s := newSealer(t)
	list := s.taken("a", "b", "c")
	s.deliver(list...)
	s.file()
	missing := func() (names []string) {
		found, err := s.Find(t.Context(), "", 10, false)
		testkit.Must(t, err)
		for _, m := range found {
			one, err := s.Message(t.Context(), string(m.ID))
			testkit.Must(t, err)
			if one.Missing != m.Missing {
				t.Errorf("%s: %t and %t", m.Name, one.Missing, m.Missing)
			}
			if m.Missing {
				names = append(names, m.Name)
			}
		}
		return names
	}
	if got := missing(); len(got) > 0 {
		t.Errorf("at first %v", got)
	}
	m := list[0]
	m.State = ledger.Delivered
	remove(t, s.at(placeAt(m)+"/b"))
	if got := missing(); !slices.Equal(got, []string{"b"}) {
		t.Errorf("without b: %v", got)
	}
	testkit.Must(t, os.RemoveAll(s.at(placeAt(m))))
	if got := missing(); len(got) != 3 {
		t.Errorf("without their folder: %v", got)
	}
	rename(t, s.at("sending"), s.at("not mounted"))
	if got := missing(); len(got) > 0 {
		t.Errorf("while the tray is away: %v", got)
	}
}
