package outbox

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"sealpost/agent/ledger"
	"sealpost/agent/tray"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/internal/testkit"
)

// delivers has the last message sealed and delivered, and returns it.
func (s *sealer) delivers() ledger.Outgoing {
	s.t.Helper()
	m := s.last()
	if m.Folder {
		from := s.sources()
		defer from.close()
		testkit.Must(s.t, s.sortTree(s.t.Context(), from, m))
	}
	s.deliver(m)
	s.file()
	m.State = ledger.Delivered
	return m
}

// sent has a folder with files taken and delivered.
func (s *sealer) sent(folder string, files ...string) ledger.Outgoing {
	s.t.Helper()
	for _, name := range files {
		put(s.t, s.at("outbox/"+folder), name)
	}
	s.tray.FolderSettle = 0
	s.claimAll(newFinder(s.tray))
	return s.delivers()
}

// writes writes a file in the folder of a delivered message.
func (s *sealer) writes(m ledger.Outgoing, name, text string) {
	s.t.Helper()
	path := filepath.Join(s.at(placeAt(m)), filepath.FromSlash(name))
	mkdir(s.t, filepath.Dir(path))
	testkit.Must(s.t, os.WriteFile(path, []byte(text), 0o644))
}

// why returns the reason of a message.
func (s *sealer) why(m ledger.Outgoing) reason.Reason {
	s.t.Helper()
	now, err := s.Message(s.t.Context(), string(m.ID))
	testkit.Must(s.t, err)
	return now.Reason
}

// follows checks that the last message follows one and has these files.
func (s *sealer) follows(m ledger.Outgoing, want ...string) {
	s.t.Helper()
	next := s.last()
	if next.Follows != m.ID || next.Address != m.Address || next.Dir != m.Dir ||
		next.Name != m.Name || next.Folder != m.Folder || next.State != ledger.Taken {
		s.t.Fatalf("the last message is %+v", next)
	}
	var have []string
	base := s.at(folderAt(next))
	testkit.Must(s.t, filepath.WalkDir(base, func(path string, e fs.DirEntry, err error) error {
		if err == nil && (!e.IsDir() || isBare(path)) {
			rel, _ := filepath.Rel(base, path)
			have = append(have, filepath.ToSlash(rel))
		}
		return err
	}))
	if !slices.Equal(have, want) {
		s.t.Errorf("it has %q, want %q", have, want)
	}
}

// A program that goes on in a folder that was delivered has its new and changed files sent, once.
func TestTheRestOfAFolderFollows(t *testing.T) {
	s := newSealer(t)
	first := s.sent("run", "1.dat", "2.dat", "deep/3.dat")
	s.writes(first, "run/2.dat", "changed")
	s.writes(first, "run/deep/4.dat", "new")
	mkdir(t, s.at(contentAt(first)+"/later"))
	f := newFinder(s.tray)
	s.claimAll(f)
	s.follows(first, "run/2.dat", "run/deep/4.dat", "run/later")
	if why := s.why(first); why.Code != "rest-sent" || why.String() != "3 files were added or "+
		"changed after it was sent (2.dat, 4.dat, later): sent as "+string(s.last().ID) {
		t.Errorf("users are told %q", why)
	}
	s.claimAll(f)
	s.claimAll(newFinder(s.tray)) // as after a restart
	if n := s.count(); n != 2 {
		t.Fatalf("%d messages", n)
	}
	second := s.delivers()

	s.writes(first, "run/5.dat", "new")
	testkit.Must(t, os.Remove(s.at(contentAt(first)+"/1.dat")))
	s.claimAll(f)
	s.follows(first, "run/5.dat")
	s.delivers()
	testkit.Must(t, os.Remove(s.at(contentAt(first)+"/5.dat")))
	s.claimAll(f)
	s.claimAll(newFinder(s.tray))
	s.writes(second, "run/2.dat", "changed there")
	s.claimAll(f)
	s.follows(second, "run/2.dat")
	if n := s.count(); n != 4 {
		t.Errorf("%d messages", n)
	}
}

// A changed file is sent anew. That holds also for one that was changed in sending after it was
// sealed, or that shares a folder.
func TestAChangedFileFollows(t *testing.T) {
	s := newSealer(t)
	list := s.taken("edited", "kept")
	s.deliver(list...)
	testkit.Must(t, os.WriteFile(s.at(sourceAt(list[0])), []byte("in sending"), 0o644))
	s.file()
	for i := range list {
		list[i].State = ledger.Delivered
	}
	f := newFinder(s.tray)
	s.claimAll(f)
	s.follows(list[0], "edited")
	text, err := os.ReadFile(s.at(sourceAt(s.last())))
	if err != nil || string(text) != "in sending" || !s.why(list[1]).IsZero() {
		t.Errorf("it has %q, %v; of the other it is told %q", text, err, s.why(list[1]))
	}
	s.delivers()
	s.writes(list[1], "kept", "not kept")
	s.claimAll(f)
	s.follows(list[1], "kept")
	testkit.Must(t, os.RemoveAll(s.at("delivered")))
	s.claimAll(f)
	if n := s.count(); n != 4 {
		t.Errorf("%d messages", n)
	}
}

// Nothing is copied while a folder is being changed. Users are told until that is undone.
func TestARestWaitsUntilNothingChanges(t *testing.T) {
	s := newSealer(t)
	m := s.sent("run", "1.dat")
	s.tray.FolderSettle = time.Hour
	s.writes(m, "run/2.dat", "half")
	for range 2 { // the second one is as after a restart
		f := newFinder(s.tray)
		s.claimAll(f)
		if why := s.why(m); why.Code != reason.RestWaits || s.count() != 1 {
			t.Fatalf("%d messages, users are told %q", s.count(), why)
		}
	}
	before, err := os.Stat(s.at("sending"))
	testkit.Must(t, err)
	testkit.Must(t, os.Remove(s.at(contentAt(m)+"/2.dat")))
	testkit.Must(t, os.Chtimes(s.at(contentAt(m)), before.ModTime(),
		time.Unix(0, m.Source.ModTime)))
	s.claimAll(newFinder(s.tray))
	if why := s.why(m); !why.IsZero() || s.count() != 1 {
		t.Errorf("%d messages, users are told %q", s.count(), why)
	}
}

// A tray can be told to send nothing later.
func TestARestIsOnlyTold(t *testing.T) {
	s := newSealer(t)
	s.tray.KeepsRest = true
	m := s.sent("run", "1.dat")
	s.writes(m, "run/2.dat", "new")
	s.claimAll(newFinder(s.tray))
	if why := s.why(m); why != reason.New("rest-kept") || s.count() != 1 {
		t.Errorf("%d messages, users are told %q", s.count(), why)
	}
}

// A file that cannot be sent holds its folder's rest up, and is named.
func TestARestThatCannotBeSent(t *testing.T) {
	s := newSealer(t)
	m := s.sent("run", "1.dat")
	link := s.at(contentAt(m) + "/link")
	if err := os.Symlink("1.dat", link); err != nil {
		t.Skip("SKIPPED: no links here")
	}
	s.writes(m, "run/2.dat", "new")
	f := newFinder(s.tray)
	s.claimAll(f)
	if why := s.why(m); s.count() != 1 && why.Code != "rest-not-sent" {
		t.Errorf("%d messages, users are told %q", s.count(), why)
	}
	testkit.Must(t, os.Remove(link))
	s.claimAll(f)
	s.follows(m, "run/2.dat")
}

// A crash leaves a copy, or a row without one. Both are made again.
func TestARestWhoseCopyWasCutShort(t *testing.T) {
	s := newSealer(t)
	m := s.sent("@CA-RC/run", "1.dat")
	s.writes(m, "run/2.dat", "new")
	put(t, s.at("sending/"+tray.CopyName()), "half")
	row := []ledger.Outgoing{{Tray: "outbox", Kind: m.Kind, Name: m.Name, Folder: true,
		Address: m.Address, Dir: m.Dir, Claimed: time.Now(), Due: time.Now(), Follows: m.ID,
		Covers: ledger.Source{Size: 1}}}
	testkit.Must(t, s.tray.claimMessages(t.Context(), row, nil, func(tx *ledger.Tx) error {
		return tx.Follow(row[0])
	}))
	s.desk.release(row...)
	put(t, s.at("outbox/@CA-RC/run"), "another.dat") // of the name
	testkit.Must(t, s.tray.prepare(t.Context()))
	s.tray.FolderSettle = time.Hour // only for the other
	f := newFinder(s.tray)
	s.claimAll(f)
	if got := s.state(row[0]); got != ledger.Withdrawn {
		t.Errorf("the row without a copy is %s", got)
	}
	s.tray.FolderSettle = 0
	testkit.Must(t, os.RemoveAll(s.at("outbox/@CA-RC/run")))
	s.claimAll(f)
	s.follows(m, addressNote, "run/2.dat")
	if told := s.leftAlone(); len(told) > 0 {
		t.Errorf("users are told %v", told)
	}
	if list, err := filepath.Glob(s.at("sending/*")); err != nil || len(list) != 1 {
		t.Errorf("in sending: %q", list)
	}
}

// A marker that comes after its folder was delivered goes, and ends the wait for the next look.
func TestAMarkerOfADeliveredFolder(t *testing.T) {
	s := newSealer(t)
	s.tray.Sweep = time.Hour
	m := s.sent("run", "1.dat")
	f := newFinder(s.tray)
	s.claimAll(f) // compared, and not again for an hour
	s.writes(m, "run/2.dat", "new")
	s.mark("run.done")
	f.later.looked = time.Time{}
	s.claimAll(f)
	f.later.looked = time.Time{}
	s.claimAll(f)
	if exists(s.at("outbox/run.done")) {
		t.Error("the marker stays")
	}
	s.follows(m, "run/2.dat")
}

// The lists of entries are kept for as long as they are compared with.
func TestListsOfEntriesAreKept(t *testing.T) {
	s := newSealer(t)
	m := s.sent("run", "1.dat")
	s.writes(m, "run/2.dat", "new")
	s.claimAll(newFinder(s.tray))
	second := s.delivers()
	lists := func() (n int) {
		s.update(func(tx *ledger.Tx) error {
			for after := id.UID(""); ; n++ {
				var err error
				if after, err = tx.NextTree(after); err != nil || after == "" {
					return err
				}
			}
		})
		return n
	}
	for _, c := range []struct {
		at   time.Duration
		want int
	}{{0, 2}, {keepTrees - time.Minute, 2}, {keepTrees + time.Minute, 0}} {
		testkit.Must(t, s.dropTrees(t.Context(), time.Now().Add(c.at)))
		if n := lists(); n != c.want {
			t.Errorf("after %s there are %d lists, want %d", c.at, n, c.want)
		}
	}
	if second.Follows != m.ID {
		t.Errorf("the second follows %s", second.Follows)
	}
}

// Files make room for others, and folders and changed files do not.
func TestComparisonsAreBounded(t *testing.T) {
	var l later
	now := time.Now()
	message := func(folder bool) []ledger.Outgoing {
		return []ledger.Outgoing{{UID: id.Random128[id.UID](), State: ledger.Delivered,
			Folder: folder}}
	}
	l.add(message(true), now)
	for range comparedMost {
		l.add(message(false), now)
	}
	if len(l.of) != comparedMost || len(l.due(now)) != comparedMost {
		t.Fatalf("%d are compared", len(l.of))
	}
	for uid, c := range l.of {
		c.next = now.Add(time.Minute)
		l.of[uid] = c
	}
	for range 10 {
		l.add(message(true), now)
		l.add(message(false), now)
	}
	folders := 0
	for _, c := range l.of {
		if c.message.Folder {
			folders++
		}
	}
	if len(l.of) != comparedMost || folders != 11 || len(l.due(now)) != 20 {
		t.Errorf("%d are compared, %d folders, %d now", len(l.of), folders, len(l.due(now)))
	}
	if l.due(now.Add(comparedFor + time.Second)); len(l.of) > 0 {
		t.Errorf("%d are compared for ever", len(l.of))
	}
}
