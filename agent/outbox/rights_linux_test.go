package outbox

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sealpost/agent/ledger"
	"sealpost/agent/tray"
	"sealpost/internal/beneath"
	"sealpost/internal/reason"
)

// share lets other accounts write into the folders of the tray, as a service's are.
func (s *sealer) share() {
	s.t.Helper()
	for _, part := range tray.Parts {
		loosen(s.t, s.at(part))
	}
}

// loosen makes a folder one that a group shares.
func loosen(t testing.TB, folder string) {
	t.Helper()
	if err := os.Chmod(folder, os.ModeSetgid|0o770); err != nil {
		t.Fatal(err)
	}
}

// give makes something another account's, which only root can.
func give(t *testing.T, path string) {
	t.Helper()
	const ann = 61003
	if err := os.Lchown(path, ann, ann); errors.Is(err, unix.EPERM) {
		t.Skip("SKIPPED: only root can give files to other accounts")
	} else if err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, to, path string) {
	t.Helper()
	if err := os.Symlink(to, path); err != nil {
		t.Fatal(err)
	}
}

// A second name of a key is not taken. Nor is one of any file of this account where other accounts
// may drop it; other files with two names are.
func TestASecondNameOfAKeyIsNotTaken(t *testing.T) {
	s := newSealer(t)
	key := filepath.Join(s.cfg.State, "claims.key")
	own := put(t, t.TempDir(), "mine")
	look := func(from, name string) reason.Reason {
		t.Helper()
		if err := os.Link(from, s.at("outbox/"+name)); err != nil {
			t.Fatal(err)
		}
		ready, why := newFinder(s.tray).examine(opened(t, s.tray), strings.SplitN(name, "/", 2)[0])
		if (ready == nil) == why.IsZero() {
			t.Fatalf("%s: %v, %q", name, ready, why)
		}
		return why
	}
	mkdir(t, s.at("outbox/set"))
	if why := look(key, "key"); why != reason.New("second-name") {
		t.Errorf("a key: %q", why)
	}
	if why := look(key, "set/key"); why != secondName("key") {
		t.Errorf("a key in a folder: %q", why)
	}
	if why := look(own, "mine"); !why.IsZero() {
		t.Errorf("a file of this account where no other can drop it: %q", why)
	}
	s.share()
	s.tray.files.AnyLinks = false
	if why := look(own, "mine-again"); why != reason.New("second-name") {
		t.Errorf("a file of this account where others drop files: %q", why)
	}
	give(t, own)
	if why := look(own, "hers"); !why.IsZero() {
		t.Errorf("a file of another account: %q", why)
	}
}

// secondName returns the reason of a folder with a second name of a key in it.
func secondName(in string) reason.Reason {
	return reason.New("cannot-be-sent", "name", in, "why", reason.New("second-name"))
}

// TestASecondNameOfAnyFileIsNotTaken holds where hard links are not protected, and other accounts
// drop files.
func TestASecondNameOfAnyFileIsNotTaken(t *testing.T) {
	s := newSealer(t)
	s.share()
	conf := put(t, t.TempDir(), "agent.toml")
	give(t, conf)
	if err := os.Link(conf, s.at("outbox/agent.toml")); err != nil {
		t.Fatal(err)
	}
	h := opened(t, s.tray)
	for anyLinks, want := range map[bool]reason.Reason{false: {},
		true: reason.New("any-second-name")} {
		s.tray.files.AnyLinks = anyLinks
		if ready, why := newFinder(s.tray).examine(h, "agent.toml"); (ready == nil) != anyLinks ||
			why != want {
			t.Errorf("dropped, any links %t: %q", anyLinks, why)
		}
		if _, _, err := h.adoptable("outbox/agent.toml"); (err != nil) != anyLinks {
			t.Errorf("adopted, any links %t: %v", anyLinks, err)
		}
	}
}

// TestASecondNameInAClaimedFolder puts it in the place of a file after the claim. So all
// sums are those of the claim.
func TestASecondNameInAClaimedFolder(t *testing.T) {
	s := newSealer(t)
	s.share()
	secret := put(t, t.TempDir(), "secret")
	set := s.at("outbox/set")
	for _, name := range []string{"a", "later"} {
		give(t, put(t, set, name))
	}
	loosen(t, set)
	future := time.Now().Add(time.Hour)
	if err := os.Chtimes(filepath.Join(set, "later"), future, future); err != nil {
		t.Fatal(err)
	}
	s.claimAll(newFinder(s.tray))
	m := s.last()
	replaced := s.at(sourceAt(m) + "/a")
	remove(t, replaced)
	if err := os.Link(secret, replaced); err != nil {
		t.Fatal(err)
	}
	_, err := s.seal(t.Context(), *newJob(s.route(), []ledger.Outgoing{m}))
	if reason.Of(err) != secondName("a") {
		t.Errorf("it is sealed: %v", err)
	}
}

// recalled drops a folder with one file, has it recalled and filed, and returns its row.
func (s *sealer) recalled() ledger.Outgoing {
	s.t.Helper()
	put(s.t, s.at("outbox/set"), "a")
	s.claimAll(newFinder(s.tray))
	m := s.last()
	if _, err := s.Recall(s.t.Context(), string(m.ID)); err != nil {
		s.t.Fatal(err)
	}
	s.file()
	m.State = ledger.Failed
	if !exists(s.at(placeAt(m) + "/set/a")) {
		s.t.Fatal("it is not filed")
	}
	return m
}

// TestASecondNameIsNotCopied puts it into a folder that was recalled. It does not get into outbox
// when that is sent again.
func TestASecondNameIsNotCopied(t *testing.T) {
	s := newSealer(t)
	s.share()
	m := s.recalled()
	set := placeAt(m) + "/set"
	loosen(t, s.at(set))
	if err := os.Link(filepath.Join(s.cfg.State, "claims.key"), s.at(set+"/key")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Resend(t.Context(), Resending{Message: string(m.ID),
		To: "CA-RC"}); !errors.Is(err, notWhatWasSent(m)) {
		t.Errorf("it is sent again: %v", err)
	}
	if exists(s.at("outbox/@CA-RC/set")) {
		t.Error("the folder is in outbox")
	}
	h := opened(t, s.tray)
	from, name, err := h.At(set)
	if err != nil {
		t.Fatal(err)
	}
	to, err := h.Dir(tray.OutboxPart)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Copy(t.Context(), from, name, to, "copy"); reason.Of(err) != secondName("key") {
		t.Errorf("it is copied: %v", err)
	}
	if exists(s.at("outbox/copy/key")) {
		t.Error("the key is in outbox")
	}
}

// The state folder itself is never taken, whatever name it is moved to.
func TestTheStateFolderIsNotTaken(t *testing.T) {
	s := newSealer(t)
	if err := os.Rename(s.cfg.State, s.at("outbox/data")); err != nil {
		t.Fatal(err)
	}
	if ready, why := newFinder(s.tray).examine(opened(t, s.tray), "data"); ready != nil ||
		why != reason.New("state-in-tray") {
		t.Errorf("dropped: %v, %q", ready, why)
	}
	if err := errors.Join(os.Remove(s.at("sending")),
		os.Rename(s.at("outbox/data"), s.at("sending"))); err != nil {
		t.Fatal(err)
	}
	if _, err := opened(t, s.tray).Dir(tray.SendingPart); !errors.Is(err, tray.ErrState) {
		t.Errorf("in the place of sending: %v", err)
	}
}

// A file in the place of a claimed one is sent only if a reader of it put it there.
func TestWhatTakesThePlaceOfAClaim(t *testing.T) {
	for name, c := range map[string]struct {
		replace func(t *testing.T, s *sealer, m ledger.Outgoing)
		state   ledger.State
	}{
		"nothing": {func(*testing.T, *sealer, ledger.Outgoing) {}, ledger.Taken},
		"another file of hers": {func(t *testing.T, s *sealer, m ledger.Outgoing) {
			remove(t, s.at(sourceAt(m)))
			give(t, put(t, s.at(folderAt(m)), m.Name))
		}, ledger.Taken},
		"a file that she cannot read": {func(t *testing.T, s *sealer, m ledger.Outgoing) {
			remove(t, s.at(sourceAt(m)))
			path := put(t, s.at(folderAt(m)), m.Name)
			give(t, path)
			if err := os.Chmod(path, 0o040); err != nil {
				t.Fatal(err)
			}
		}, ledger.Claimed},
		"a file of the service": {func(t *testing.T, s *sealer, m ledger.Outgoing) {
			remove(t, s.at(sourceAt(m)))
			put(t, s.at(folderAt(m)), m.Name)
		}, ledger.Claimed},
		"a link to a key": {func(t *testing.T, s *sealer, m ledger.Outgoing) {
			remove(t, s.at(sourceAt(m)))
			link(t, filepath.Join(s.cfg.State, "claims.key"), s.at(sourceAt(m)))
		}, ledger.Claimed},
		"a second name of a key": {func(t *testing.T, s *sealer, m ledger.Outgoing) {
			remove(t, s.at(sourceAt(m)))
			if err := os.Link(filepath.Join(s.cfg.State, "claims.key"),
				s.at(sourceAt(m))); err != nil {
				t.Fatal(err)
			}
		}, ledger.Claimed},
		"a link for the folder": {func(t *testing.T, s *sealer, m ledger.Outgoing) {
			if err := os.Rename(s.at(folderAt(m)), s.at("away")); err != nil {
				t.Fatal(err)
			}
			link(t, s.cfg.State, s.at(folderAt(m)))
		}, ledger.Claimed},
		"a link for sending": {func(t *testing.T, s *sealer, _ ledger.Outgoing) {
			if err := os.Rename(s.at("sending"), s.at("away")); err != nil {
				t.Fatal(err)
			}
			link(t, s.cfg.State, s.at("sending"))
		}, ledger.Claimed},
		"a pipe": {func(t *testing.T, s *sealer, m ledger.Outgoing) {
			remove(t, s.at(sourceAt(m)))
			if err := unix.Mkfifo(s.at(sourceAt(m)), 0o666); err != nil {
				t.Fatal(err)
			}
		}, ledger.Claimed},
		"a folder": {func(t *testing.T, s *sealer, m ledger.Outgoing) {
			remove(t, s.at(sourceAt(m)))
			mkdir(t, s.at(sourceAt(m)))
		}, ledger.Claimed},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSealer(t)
			s.share()
			m := s.claimed("claims.key")[0]
			give(t, s.at(droppedAt(m)))
			s.resumeClaims(m)
			s.update(func(tx *ledger.Tx) error {
				_, err := tx.Advance(m.UID, ledger.Taken, ledger.Claimed, reason.Text("changed"))
				return err
			})
			loosen(t, s.at(folderAt(m)))
			c.replace(t, s, m)
			s.recover()
			if state := s.state(m); state != c.state {
				t.Errorf("it is %s, want %s", state, c.state)
			}
		})
	}
}

// A lost ledger adopts dropped files, and nothing that an account was led to through it.
func TestOnlyWhatWasDroppedIsAdopted(t *testing.T) {
	s := newSealer(t)
	s.share()
	folders := map[string]func(t *testing.T, folder string){
		"FL-LAB_DAT_20251008_001": func(t *testing.T,
			folder string) {
			give(t, put(t, folder, "hers"))
		},
		"FL-LAB_DAT_20251008_002": func(t *testing.T, folder string) { put(t, folder, "ours") },
		"FL-LAB_DAT_20251008_003": func(t *testing.T,
			folder string) {
			link(t, "../../state/claims.key", filepath.Join(folder, "key"))
		},
		"FL-LAB_DAT_20251008_004": func(t *testing.T, folder string) {
			give(t, put(t, filepath.Join(folder, "set"), "hers"))
			give(t, filepath.Join(folder, "set"))
			put(t, filepath.Join(folder, "set"), "ours")
		},
	}
	for name, fill := range folders {
		mkdir(t, s.at("sending/"+name))
		loosen(t, s.at("sending/"+name))
		fill(t, s.at("sending/"+name))
		if set := s.at("sending/" + name + "/set"); exists(set) {
			loosen(t, set)
		}
	}
	link(t, "../state", s.at("sending/FL-LAB_DAT_20251008_005"))
	if err := s.tray.adopt(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, adopted := range map[string]bool{"_001": true, "_002": false, "_003": false,
		"_004": false, "_005": false} {
		err := s.ledger.View(t.Context(), func(tx *ledger.Tx) error {
			_, err := tx.Message("FL-LAB_DAT_20251008" + name)
			return err
		})
		if (err == nil) != adopted {
			t.Errorf("%s: %v", name, err)
		}
		if told := s.leftAlone()["sending/FL-LAB_DAT_20251008"+name]; told.IsZero() != adopted {
			t.Errorf("%s: users are told %q", name, told)
		}
	}
}

// The note of a shared folder counts only if this account has written it.
func TestANoteOfAnotherAccountIsNone(t *testing.T) {
	s := newSealer(t)
	s.share()
	list := s.taken("a", "b")
	note := s.at(folderAt(list[0]) + "/" + groupNote)
	h := opened(t, s.tray)
	if _, err := h.readNote(list[0]); err != nil {
		t.Error(err)
	}
	loosen(t, s.at(folderAt(list[0])))
	give(t, note)
	if _, err := h.readNote(list[0]); !errors.Is(err, tray.ErrStrange) {
		t.Errorf("hers: %v", err)
	}
	remove(t, note)
	link(t, "../../state/claims.key", note)
	if _, err := h.readNote(list[0]); !errors.Is(err, beneath.ErrLink) {
		t.Errorf("a link: %v", err)
	}
}

// An ended message whose folder is swapped for a link is filed once its folder is back. No link is
// moved.
func TestALinkIsNotFiled(t *testing.T) {
	for name, files := range map[string][]string{"alone": {"a"}, "shared": {"a", "b"}} {
		t.Run(name, func(t *testing.T) {
			s := newSealer(t)
			list := s.taken(files...)
			s.deliver(list...)
			folder := s.at(folderAt(list[0]))
			if err := os.Rename(folder, s.at("away")); err != nil {
				t.Fatal(err)
			}
			link(t, "../state", folder)
			s.file()
			if info, err := os.Lstat(folder); err != nil || info.Mode()&os.ModeSymlink == 0 {
				t.Errorf("the link was moved: %v", err)
			}
			if err := errors.Join(os.Remove(folder), os.Rename(s.at("away"), folder)); err != nil {
				t.Fatal(err)
			}
			s.file()
			m := list[0]
			m.State = ledger.Delivered
			for _, name := range files {
				if !exists(s.at(placeAt(m) + "/" + name)) {
					t.Errorf("%s is not in delivered", name)
				}
			}
		})
	}
}

// A folder that no claim can have made is not taken up. The numbers of later messages would lie
// above its own.
func TestAFolderWithAForeignNumber(t *testing.T) {
	s := newSealer(t)
	for _, name := range []string{"FL-LAB_DAT_20251008_999999999999999999",
		"FL-LAB_DAT_99991231_001"} {
		put(t, s.at("sending/"+name), "data.csv")
	}
	put(t, s.at("sending/FL-LAB_DAT_99991231_001-002"), groupNote)
	put(t, s.at("sending/FL-LAB_DAT_99991231_001-002"), "data.csv")
	if err := s.tray.adopt(t.Context()); err != nil {
		t.Fatal(err)
	}
	if told := s.leftAlone(); len(told) != 3 {
		t.Errorf("users are told %v", told)
	}
	if m := s.claimed("after")[0]; m.Number != 1 {
		t.Errorf("the next number is %d", m.Number)
	}
}

// However a folder and a link are swapped while the folder is moved, no link stays moved.
func TestALinkIsNotMovedInASwap(t *testing.T) {
	s := newSealer(t)
	h := opened(t, s.tray)
	folder, other := s.at("sending/x"), s.at("sending/other")
	mkdir(t, folder)
	link(t, "../state", other)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				//nolint:errcheck // it may be moved
				unix.Renameat2(unix.AT_FDCWD, folder, unix.AT_FDCWD, other, unix.RENAME_EXCHANGE)
			}
		}
	}()
	moved := 0
	for range 3000 {
		if h.MoveFolder("sending/x", "delivered/x") != nil {
			if exists(s.at("delivered/x")) {
				t.Error("a link stays in delivered")
				break
			}
			continue
		}
		if !h.IsDir("delivered/x") {
			t.Error("a link was moved")
			break
		}
		moved++
		if err := h.Rename("delivered/x", "sending/x"); err != nil {
			t.Error(err)
			break
		}
	}
	close(stop)
	<-stopped
	t.Logf("moved %d times", moved)
}

// A claimed file that a link hides at a start is not claimed once more when the link has gone.
func TestAClaimBehindALink(t *testing.T) {
	for name, hide := range map[string]string{"the folder of its address": "outbox/@CA-RC",
		"the folder of its message": ""} {
		t.Run(name, func(t *testing.T) {
			s := newSealer(t)
			mkdir(t, s.at("outbox/@CA-RC"))
			m := s.claimed("@CA-RC/a")[0] // and killed before it was moved
			if hide == "" {
				hide = folderAt(m)
				link(t, "../state", s.at(hide))
			} else {
				if err := os.Rename(s.at(hide), s.at("away")); err != nil {
					t.Fatal(err)
				}
				link(t, "../state", s.at(hide))
			}
			s.recover()
			f := newFinder(s.tray)
			remove(t, s.at(hide))
			if exists(s.at("away")) {
				if err := os.Rename(s.at("away"), s.at(hide)); err != nil {
					t.Fatal(err)
				}
			}
			if ready, _ := f.examine(opened(t, s.tray), "@CA-RC/a"); ready != nil {
				t.Error("it is claimed once more")
			}
			s.recover()
			if state := s.state(m); state != ledger.Taken {
				t.Errorf("it is %s", state)
			}
			put(t, s.at("outbox/@CA-RC"), "a")
			if ready, why := f.examine(opened(t, s.tray), "@CA-RC/a"); ready == nil {
				t.Errorf("the next file of its name is not taken: %s", why)
			}
		})
	}
}
