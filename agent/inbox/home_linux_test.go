package inbox

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sealpost/agent/ledger"
	"sealpost/envelope"
	"sealpost/hub/api"
	"sealpost/internal/id"
)

// usedInbox returns an inbox with a placed message.
func usedInbox(t *testing.T) *Inbox {
	t.Helper()
	b := inboxIn(t, filepath.Join(t.TempDir(), "inbox"))
	f := entered(t, b)
	check(t, b.placeFiles(t.Context(), f, parcel(t, f, "FL-LAB", "data.csv")))
	f.close()
	return b
}

// restart returns the same site's inbox after a restart, maybe in another folder.
func restart(b *Inbox, dir string) *Inbox {
	o := b.cfg
	o.Dir = dir
	return New(o)
}

func idIn(t *testing.T, dir string) string {
	t.Helper()
	return readID(held(t, filepath.Join(dir, ownDir)))
}

// expectUnusable checks that an inbox waits, reports it, and changes nothing.
func expectUnusable(t *testing.T, b *Inbox, text string) {
	t.Helper()
	before := listing(t, b.cfg.Dir)
	ready, err := b.isReady(t.Context())
	if ready || err != nil {
		t.Fatalf("it receives: %v, %v", ready, err)
	}
	s, err := b.Status(t.Context(), 1)
	missing := s.Away.String()
	if err != nil || !strings.Contains(missing, text) || !strings.Contains(missing, b.cfg.Dir) {
		t.Errorf("it says %q, %v; want %q", s.Away, err, text)
	}
	if after := listing(t, b.cfg.Dir); !slices.Equal(before, after) {
		t.Errorf("there was %v, and now is %v", before, after)
	}
}

// listing returns the paths below a folder, or none without the folder.
func listing(t *testing.T, dir string) (list []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		list = append(list, path)
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	check(t, err)
	return list
}

func expectHome(t *testing.T, b *Inbox) {
	t.Helper()
	ready, err := b.isReady(t.Context())
	if !ready || err != nil {
		t.Fatalf("it does not receive: %v, %v", err, b.unusableReason)
	}
	if s, err := b.Status(t.Context(), 1); err != nil || !s.Away.IsZero() {
		t.Errorf("it says %q, %v", s.Away, err)
	}
}

// Another folder is refused while the first message is in state placing. There it would count as
// placed.
func TestAnotherFolderIsNotTheInboxOfAMessageThatIsPlaced(t *testing.T) {
	b := inboxIn(t, filepath.Join(t.TempDir(), "inbox"))
	entered(t, b).close()
	check(t, b.ledger.Update(t.Context(), func(tx *ledger.Tx) error {
		return tx.Place(ledger.Received{Sender: "FL-LAB", UID: "u", ID: "FL-LAB_DAT_20251008_001",
			Envelope: "e", Temp: "t", Path: "p"})
	}))
	dir := b.cfg.Dir
	check(t, os.Rename(dir, dir+".away"))
	check(t, os.MkdirAll(filepath.Join(dir, "FL-LAB"), 0o755))
	expectUnusable(t, restart(b, dir), "is not the folder")
}

// The inbox waits while its folder is missing or another one, at the start or later. It continues
// once the folder is back.
func TestAnInboxWhoseDiskIsAwayWaits(t *testing.T) {
	for name, c := range map[string]struct {
		put  func(dir string) error
		text string
	}{
		"missing": {func(string) error { return nil }, "cannot be used"},
		"empty": {func(dir string) error {
			return os.Mkdir(dir, 0o755)
		}, "is not the folder"},
		"another": {func(dir string) error {
			return os.MkdirAll(filepath.Join(dir, "FL-LAB"), 0o755)
		}, "is not the folder"},
		"a file": {func(dir string) error {
			return os.WriteFile(dir, nil, 0o600)
		}, "cannot be used"},
		"another inbox": {func(dir string) error {
			return anotherInbox(t, dir)
		}, "is another inbox"},
	} {
		t.Run(name, func(t *testing.T) {
			b := usedInbox(t)
			dir := b.cfg.Dir
			check(t, errors.Join(os.Rename(dir, dir+".away"), c.put(dir)))
			for _, b := range []*Inbox{b, restart(b, dir)} { // while it runs, and at a start
				expectUnusable(t, b, c.text)
				err := b.openInto(t.Context(), &delivery{})
				if !errors.As(err, new(unusableError)) {
					t.Errorf("it opens: %v", err)
				}
			}
			check(t, errors.Join(os.RemoveAll(dir), os.Rename(dir+".away", dir)))
			expectHome(t, b)
			holds(t, filepath.Join(dir, "FL-LAB", "data.csv"), "data.csv")
		})
	}
}

func anotherInbox(t *testing.T, dir string) error {
	f, err := inboxIn(t, dir).enter(t.Context())
	if err == nil {
		f.close()
	}
	return err
}

// Before the first message, the inbox accepts a folder that is not empty: a new disk was mounted
// there.
func TestANewInboxMayGetItsDisk(t *testing.T) {
	b := inboxIn(t, filepath.Join(t.TempDir(), "inbox"))
	expectHome(t, b)
	check(t, errors.Join(os.Rename(b.cfg.Dir, b.cfg.Dir+".before"), os.Mkdir(b.cfg.Dir, 0o755)))
	expectUnusable(t, b, "is not the folder")
	check(t, os.Mkdir(filepath.Join(b.cfg.Dir, "lost+found"), 0o700))
	expectHome(t, b)
}

// An inbox that was copied, restored, or mounted under other numbers is recognized by its idFile.
func TestRecognizeInbox(t *testing.T) {
	for name, change := range map[string]func(dir string) error{
		"a copy": func(string) error { return nil },
		"an older backup": func(dir string) error {
			return os.Remove(filepath.Join(dir, ownDir, idFile))
		},
		"open to others": func(dir string) error {
			return os.Chmod(filepath.Join(dir, ownDir), 0o770)
		},
		"its file damaged": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, ownDir, idFile), []byte("x"), 0o644)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := usedInbox(t)
			dir := b.cfg.Dir
			says := idIn(t, dir)
			if out, err := exec.Command("cp", "-a", dir, dir+".copy").CombinedOutput(); err != nil {
				t.Skipf("SKIPPED: no cp: %v %s", err, out)
			}
			check(t, errors.Join(os.RemoveAll(dir), os.Rename(dir+".copy", dir), change(dir)))
			expectHome(t, restart(b, dir))
			if now := idIn(t, dir); now != says {
				t.Errorf("it is %s, and was %s", now, says)
			}
			// the ledger has the new numbers now
			check(t, os.RemoveAll(filepath.Join(dir, ownDir)))
			expectHome(t, restart(b, dir))
		})
	}
}

// In the same folder, a missing .sealpost is made again, and one open to others is closed again.
func TestTheOwnFolderIsMadeAgain(t *testing.T) {
	for name, c := range map[string]struct {
		change func(own string) error
		record bool // is kept
	}{
		"gone":           {os.RemoveAll, false},
		"open to others": {func(own string) error { return os.Chmod(own, 0o777) }, true},
		"its file gone": {func(own string) error {
			return os.Remove(filepath.Join(own, idFile))
		}, true},
		"renamed": {func(own string) error { return os.Rename(own, own+".x") }, true},
		"renamed, replaced": {func(own string) error {
			return errors.Join(os.Rename(own, own+".x"), os.Mkdir(own, 0o777))
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			for _, restarted := range []bool{false, true} {
				b := usedInbox(t)
				says := idIn(t, b.cfg.Dir)
				check(t, c.change(filepath.Join(b.cfg.Dir, ownDir)))
				if restarted {
					b = restart(b, b.cfg.Dir)
				}
				expectHome(t, b)
				if now := idIn(t, b.cfg.Dir); now != says {
					t.Errorf("it is %s, and was %s", now, says)
				}
				if records, err := filepath.Glob(filepath.Join(b.records("FL-LAB"),
					"*.json")); err != nil || len(records) == 1 != c.record {
					t.Errorf("records: %v, %v", records, err)
				}
			}
		})
	}
}

// A folder of the service that another account has renamed to .sealpost is rejected.
func TestRejectOtherOwnFolder(t *testing.T) {
	b := usedInbox(t)
	dir := b.cfg.Dir
	sent := filepath.Join(dir, "sent")
	write(t, filepath.Join(sent, "FL-LAB", "x"+recordSuffix), []byte("{}"))
	check(t, errors.Join(os.Chmod(sent, 0o700), os.RemoveAll(filepath.Join(dir, ownDir)),
		os.Rename(sent, filepath.Join(dir, ownDir))))
	expectHome(t, b)
	if entries, err := os.ReadDir(b.records("FL-LAB")); err == nil {
		t.Errorf("records: %v", entries)
	}
}

// A new folder in agent.toml moves the inbox: it is made if it is missing.
func TestAnInboxMayBeMoved(t *testing.T) {
	b := usedInbox(t)
	moved := restart(b, filepath.Join(t.TempDir(), "new", "inbox"))
	expectHome(t, moved)
	expectUnusable(t, func() *Inbox {
		check(t, os.Rename(moved.cfg.Dir, moved.cfg.Dir+".away"))
		return restart(moved, moved.cfg.Dir)
	}(), "cannot be used")
	expectHome(t, restart(b, b.cfg.Dir)) // and back
}

// A ledger without a remembered home, old or new, accepts the inbox.
func TestInboxWithoutHome(t *testing.T) {
	b := usedInbox(t)
	says := idIn(t, b.cfg.Dir)
	check(t, b.ledger.Update(t.Context(), func(tx *ledger.Tx) error { return tx.Set(homeKey, "") }))
	check(t, os.Remove(filepath.Join(b.cfg.Dir, ownDir, idFile)))
	expectHome(t, restart(b, b.cfg.Dir))
	if now := idIn(t, b.cfg.Dir); now == "" || now == says {
		t.Errorf("it is %q, and was %q", now, says)
	}
	lost := inboxIn(t, b.cfg.Dir)
	says = idIn(t, b.cfg.Dir)
	expectHome(t, lost)
	if now := idIn(t, b.cfg.Dir); now != says {
		t.Errorf("with a new ledger it is %s, and was %s", now, says)
	}
}

// Another account hid .sealpost, so that there are two. They are merged, and messages that were
// half placed meanwhile are placed.
func TestTwoOwnFoldersBecomeOne(t *testing.T) {
	for name, restarted := range map[string]bool{"while it runs": false, "at a start": true} {
		t.Run(name, func(t *testing.T) {
			b := usedInbox(t)
			f := entered(t, b)
			list := parcel(t, f, "FL-LAB", "half.csv")
			p := list[0]
			check(t, errors.Join(f.chooseName(p, map[string]bool{}, 0), p.makeRecord()))
			check(t, errors.Join(f.writeLists(list), f.syncContent(list),
				b.writeRows(t.Context(), list)))
			hidden, own, says := filepath.Join(b.cfg.Dir, "hidden"),
				filepath.Join(b.cfg.Dir, ownDir), idIn(t, b.cfg.Dir)
			check(t, errors.Join(os.Rename(own, hidden),
				os.MkdirAll(filepath.Join(own, tempName), 0o700), os.Chmod(own, 0o755)))
			check(t, os.WriteFile(filepath.Join(own, idFile), []byte(says), 0o644))
			if restarted {
				b = restart(b, b.cfg.Dir)
			}
			expectHome(t, b)
			holds(t, filepath.Join(b.cfg.Dir, p.Path), "half.csv")
			if records, err := filepath.Glob(filepath.Join(b.records("FL-LAB"),
				"*.json")); err != nil || len(records) != 2 {
				t.Errorf("records: %v, %v", records, err)
			}
			if _, err := os.Lstat(hidden); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the second folder: %v", err)
			}
		})
	}
}

// A message that another envelope has too is known only after it is placed.
func TestAHalfPlacedMessageIsNotKnown(t *testing.T) {
	b := usedInbox(t)
	f := entered(t, b)
	list := parcel(t, f, "FL-LAB", "half.csv")
	p := list[0]
	check(t, errors.Join(f.chooseName(p, map[string]bool{}, 0), p.makeRecord(),
		b.writeRows(t.Context(), list)))
	d := &delivery{}
	d.Sender = p.Sender
	d.Messages = append(d.Messages, messageOf(p))
	d.messages = []opened{{OpenedMessage: envelope.OpenedMessage{UID: p.UID, ID: p.ID, Name: p.Name,
		Digest: p.Digest}}}
	_, err := b.plan(t.Context(), f, []*delivery{d})
	if err != nil || f.failure(p.Sender, d.Envelope) == nil {
		t.Errorf("it is taken as known: %v", err)
	}
}

// A user removes .sealpost while messages are being placed. Content at its place is not placed
// twice, and other content is placed from the next delivery.
func TestTemporaryFolderRemoved(t *testing.T) {
	writes := func(text string) func(path string) error {
		return func(path string) error { return os.WriteFile(path, []byte(text), 0o600) }
	}
	for name, c := range map[string]struct {
		arrive func(path string) error // at the place, before the removal
		copies int                     // in the sender's folder, then
	}{
		"nothing arrived":     {func(string) error { return nil }, 1},
		"it arrived":          {writes("half.csv"), 1},
		"another file there":  {writes("HALF.csv"), 2},
		"a shorter one there": {writes("half"), 2},
		"a folder there":      {func(path string) error { return os.Mkdir(path, 0o700) }, 2},
		"a link there":        {func(path string) error { return os.Symlink("data.csv", path) }, 2},
	} {
		t.Run(name, func(t *testing.T) {
			b := usedInbox(t)
			f := entered(t, b)
			list := parcel(t, f, "FL-LAB", "half.csv")
			p := list[0]
			check(t, errors.Join(f.chooseName(p, map[string]bool{}, 0), p.makeRecord(),
				b.writeRows(t.Context(), list)))
			place := filepath.Join(b.cfg.Dir, p.Path)
			check(t, errors.Join(c.arrive(place), os.RemoveAll(filepath.Join(b.cfg.Dir, ownDir))))
			b = restart(b, b.cfg.Dir)
			expectHome(t, b) // others are placed

			now := deliver(t, b, p)
			path := filepath.Join(b.cfg.Dir, now.Path)
			holds(t, path, "half.csv")
			if (path == place) != (c.copies == 1) {
				t.Errorf("it lies at %s, and had %s", path, place)
			}
			found, err := filepath.Glob(filepath.Join(b.cfg.Dir, "FL-LAB", "half*"))
			if err != nil || len(found) != c.copies {
				t.Errorf("there are %v, %v", found, err)
			}
			_, known, err := entered(t, b).findRecord(p.Sender, p.ID, p.UID)
			if err != nil || !known {
				t.Errorf("no record: %v", err)
			}
			rows, err := b.rowsOf(t.Context(), p.Sender, []id.UID{p.UID})
			if err != nil || len(rows) != 1 || rows[0].Path != now.Path ||
				rows[0].Temp != now.Temp {
				t.Errorf("the ledger has %+v, %v", rows, err)
			}
		})
	}
}

// deliver places one more delivery of a half placed message.
func deliver(t *testing.T, b *Inbox, half *placement) *placement {
	t.Helper()
	f := entered(t, b)
	d := &delivery{}
	d.Sender = half.Sender
	d.Messages = append(d.Messages, messageOf(half))
	check(t, b.resumePlacing(t.Context(), f, d))
	p := parcel(t, f, half.Sender, half.Name)[0]
	d.dir = p.from
	d.messages = []opened{{OpenedMessage: envelope.OpenedMessage{UID: half.UID, ID: half.ID,
		Name: p.Name, Digest: half.Digest, Type: envelope.TypeFile}, temp: p.item}}
	list, err := b.plan(t.Context(), f, []*delivery{d})
	check(t, errors.Join(err, b.placeFiles(t.Context(), f, list)))
	check(t, f.failure(p.Sender, list[0].Envelope))
	return list[0]
}

func TestAnInboxOfAnEarlierProgram(t *testing.T) {
	b := inboxIn(t, t.TempDir())
	uid := id.Random128[id.UID]()
	write(t, filepath.Join(b.records("FL-LAB"), string(message)+recordSuffix), recordOf(t, uid))
	check(t, errors.Join(os.Mkdir(b.temp(), 0o700), os.Chmod(filepath.Join(b.cfg.Dir, ownDir),
		0o700)))
	expectHome(t, b)
	if _, found, err := entered(t, b).findRecord("FL-LAB", message, uid); err != nil || !found {
		t.Errorf("its records are not known: %v", err)
	}
}

// An unusable folder of a sender stops its deliveries before their content is read. It counts no
// attempt.
func TestUnusableSenderFolder(t *testing.T) {
	b := usedInbox(t)
	folder := filepath.Join(b.cfg.Dir, "FL-LAB")
	check(t, errors.Join(os.Rename(folder, folder+".x"), os.Symlink(t.TempDir(), folder)))
	d := &delivery{}
	d.Sender = "FL-LAB"
	err := b.openInto(t.Context(), d)
	if r := releaseAfter(err, 40, 0); r.Code != api.ReleaseLocal || !r.NotAttempted ||
		r.Delay > time.Minute {
		t.Errorf("%v: %+v", err, r)
	}
	if d.dir != "" {
		t.Errorf("it has begun: %s", d.dir)
	}
}

// A default access list on another account's folder removes permissions from new files. The volume
// still keeps owners and modes, so a copy of the inbox in its place is not recognized by its
// idFile.
func TestCopyWithDefaultList(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root makes folders that belong to another account")
	}
	b := usedInbox(t)
	dir := b.cfg.Dir
	mark, err := os.ReadFile(filepath.Join(dir, ownDir, idFile))
	check(t, err)
	check(t, os.Rename(dir, dir+".away"))
	write(t, filepath.Join(dir, ownDir, idFile), mark)
	// the kernel's form: the version, and then tag, permissions and number of each line, here for
	// owner, group and others
	list := []byte{2, 0, 0, 0}
	for _, line := range [][2]byte{{0x01, 5}, {0x04, 7}, {0x20, 7}} {
		list = append(list, line[0], 0, line[1], 0, 0xff, 0xff, 0xff, 0xff)
	}
	if err := unix.Setxattr(dir, defaultList, list, 0); errors.Is(err, unix.ENOTSUP) {
		t.Skip("SKIPPED: the file system has no access lists")
	} else if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, filepath.Join(dir, ownDir),
		filepath.Join(dir, ownDir, idFile)} {
		check(t, errors.Join(os.Chown(path, 65534, 65534), os.Chmod(path, 0o777)))
	}
	for _, b := range []*Inbox{b, restart(b, dir)} { // while it runs, and at a start
		expectUnusable(t, b, "is not the folder")
	}
	check(t, errors.Join(os.RemoveAll(dir), os.Rename(dir+".away", dir)))
	expectHome(t, b)
}

// Before the first message, a new disk may take the inbox's place, but no folder of another
// account.
func TestAFolderOfAnotherAccountIsNotTheInbox(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root gives a folder to another account")
	}
	b := inboxIn(t, filepath.Join(t.TempDir(), "inbox"))
	entered(t, b).close()
	dir := b.cfg.Dir
	check(t, os.Rename(dir, dir+".away"))
	write(t, filepath.Join(dir, "lost+found"), nil)
	check(t, errors.Join(os.Chown(dir, 65534, 65534), os.Chmod(dir, 0o777|os.ModeSetgid)))
	for _, b := range []*Inbox{b, restart(b, dir)} { // while it runs, and at a start
		expectUnusable(t, b, "belongs to another account")
	}
	check(t, os.Chown(dir, 0, 0))
	expectHome(t, b)
}
