package outbox

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"sealpost/agent/ledger"
	"sealpost/agent/tray"
	"sealpost/internal/reason"
	"sealpost/internal/testkit"
)

// proven is a prover that believes every receipt.
func proven(context.Context, ledger.Outgoing) (reason.Reason, error) {
	return reason.Reason{}, nil
}

// clears removes content after a time since now.
func (s *sealer) clears(after time.Duration, prove prover) {
	s.t.Helper()
	s.tray.KeepDelivered = 30 * 24 * time.Hour
	testkit.Must(s.t, s.tray.clear(s.t.Context(), time.Now().Add(after), prove,
		func(time.Duration) error { return nil }))
}

// month is longer than keep_delivered of clears.
const month = 31 * 24 * time.Hour

// deliversFile has a file sealed and delivered.
func (s *sealer) deliversFile(name string) ledger.Outgoing {
	s.t.Helper()
	m := s.sendsFile(name, "content of "+name, time.Now().Add(-time.Hour))
	s.file()
	s.update(func(tx *ledger.Tx) (err error) {
		m, err = tx.Message(string(m.UID))
		return err
	})
	return m
}

// forge overwrites a file with as many bytes, and gives it its former time.
func forge(t *testing.T, path string) {
	t.Helper()
	info, err := os.Stat(path)
	testkit.Must(t, err)
	time.Sleep(20 * time.Millisecond) // a step of the kernel's clock
	testkit.Must(t, os.WriteFile(path, make([]byte, info.Size()), 0o644))
	testkit.Must(t, os.Chtimes(path, info.ModTime(), info.ModTime()))
}

// Only old, unchanged and proven content is removed from delivered/. Each case changes a delivered
// file or folder first.
func TestOldContentIsRemoved(t *testing.T) {
	target := filepath.Join(t.TempDir(), "elsewhere")
	for name, c := range map[string]struct {
		folder  bool // of files, and no file
		change  func(t *testing.T, at string)
		after   time.Duration // of a month, if it is 0
		prove   prover        // proven, if it is nil
		why     reason.Code   // for keeping it; "": removed
		stays   bool          // the message's folder
		isYoung bool
	}{
		"a file":    {},
		"a folder":  {folder: true},
		"too young": {after: 29 * 24 * time.Hour, isYoung: true, stays: true},
		"another's note beside it": {stays: true, change: func(t *testing.T, at string) {
			put(t, filepath.Dir(at), "note.txt")
		}},
		"edited": {why: "kept-changed", stays: true, change: func(t *testing.T, at string) {
			testkit.Must(t, os.WriteFile(at, []byte("edited"), 0o644))
		}},
		"edited, with size and time as before": {why: "kept-changed", stays: true, change: forge},
		"only its rights are others": {change: func(t *testing.T, at string) {
			time.Sleep(20 * time.Millisecond) // as above
			testkit.Must(t, os.Chmod(at, 0o600))
		}},
		"a file more in a folder": {folder: true, why: "kept-changed", stays: true,
			change: func(t *testing.T, at string) { put(t, at, "more") }},
		"a file of a folder edited, with size and time as before": {folder: true,
			why: "kept-changed", stays: true, change: func(t *testing.T, at string) {
				info, err := os.Stat(at)
				testkit.Must(t, err)
				forge(t, filepath.Join(at, "1.dat"))
				testkit.Must(t, os.Chtimes(at, info.ModTime(), info.ModTime()))
			}},
		"open for writing": {why: "kept-changed", stays: true,
			change: func(t *testing.T, at string) {
				f, err := os.OpenFile(at, os.O_WRONLY, 0)
				testkit.Must(t, err)
				t.Cleanup(func() { f.Close() })
			}},
		"a link in its place": {why: "kept-changed", stays: true,
			change: func(t *testing.T, at string) {
				testkit.Must(t, errors.Join(os.MkdirAll(target, 0o755),
					os.Rename(at, filepath.Join(target, "file")),
					os.Symlink(filepath.Join(target, "file"), at)))
			}},
		"a link in place of its folder": {why: "kept-unremovable", stays: true,
			change: func(t *testing.T, at string) {
				moved := filepath.Join(target, "folder")
				testkit.Must(t, errors.Join(os.MkdirAll(target, 0o755),
					os.Rename(filepath.Dir(at), moved), os.Symlink(moved, filepath.Dir(at))))
				t.Cleanup(func() {
					if !exists(filepath.Join(moved, filepath.Base(at))) {
						t.Error("a file elsewhere is removed")
					}
				})
			}},
		"an unproven receipt": {why: "kept-unproven", stays: true,
			prove: func(context.Context, ledger.Outgoing) (reason.Reason, error) {
				return reason.New("kept-unproven", "site", "CA-RC"), nil
			}},
		"a folder of another account in place of the private one": {why: "kept-unremovable",
			stays: true, change: func(t *testing.T, at string) {
				testkit.Must(t, os.WriteFile(filepath.Join(filepath.Dir(filepath.Dir(at)),
					"private"), nil, 0o644))
			}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSealer(t)
			m := ledger.Outgoing{}
			if c.folder {
				m = s.sent("run", "1.dat", "2.dat", "deep/3.dat")
			} else {
				m = s.deliversFile("data.csv")
			}
			at := s.at(contentAt(m))
			if c.change != nil {
				c.change(t, at)
			}
			if private := filepath.Join(s.tray.Delivered(), "private"); exists(private) {
				testkit.Must(t, os.Rename(private, s.at(removalAt(m))))
			}
			if c.after == 0 {
				c.after = month
			}
			if c.prove == nil {
				c.prove = proven
			}
			s.clears(c.after, c.prove)
			if isThere := exists(at); isThere != (c.why != "" || c.isYoung) {
				t.Errorf("it is there: %t", isThere)
			}
			if stays := exists(s.at(placeAt(m))); stays != c.stays {
				t.Errorf("its folder is there: %t", stays)
			}
			now, err := s.Message(t.Context(), string(m.ID))
			testkit.Must(t, err)
			if now.Reason.Code != c.why || now.Removed.IsZero() != (c.why != "" || c.isYoung) ||
				now.State != ledger.Delivered {
				t.Errorf("users are told %q, removed %v", now.Reason, now.Removed)
			}
		})
	}
}

// Kept content is looked at again a day later. Content that a user has taken away is not listed.
func TestKeptContentIsLookedAtAgain(t *testing.T) {
	s := newSealer(t)
	kept, taken := s.deliversFile("kept.csv"), s.deliversFile("taken.csv")
	doubts := func(context.Context, ledger.Outgoing) (reason.Reason, error) {
		return reason.New("kept-unproven", "site", "CA-RC"), nil
	}
	s.clears(month, doubts)
	testkit.Must(t, os.RemoveAll(s.at(placeAt(taken))))
	s.clears(month+time.Hour, proven)
	if !exists(s.at(contentAt(kept))) {
		t.Error("it is looked at again at once")
	}
	s.clears(month+25*time.Hour, proven)
	if exists(s.at(contentAt(kept))) {
		t.Error("it is never looked at again")
	}
	for m, want := range map[*ledger.Outgoing]bool{&kept: true, &taken: false} {
		now, err := s.Message(t.Context(), string(m.ID))
		testkit.Must(t, err)
		if now.Removed.IsZero() == want || !now.Reason.IsZero() {
			t.Errorf("%s: removed %v, %s", m.Name, now.Removed, now.Reason)
		}
	}
}

// A removal that a kill has cut off at any step is finished, and listed. Content that was changed
// meanwhile is given back.
func TestARemovalIsCutOff(t *testing.T) {
	for name, c := range map[string]struct {
		left func(s *sealer, m ledger.Outgoing)
		kept bool
	}{
		"before the rename": {func(*sealer, ledger.Outgoing) {}, false},
		"after it":          {func(s *sealer, m ledger.Outgoing) { s.setsAside(m) }, false},
		"after it, and then changed": {func(s *sealer, m ledger.Outgoing) {
			s.setsAside(m)
			testkit.Must(s.t, os.WriteFile(s.at(removalAt(m)+"/"+m.Name), []byte("other"), 0o600))
		}, true},
		"after the removal": {func(s *sealer, m ledger.Outgoing) {
			s.setsAside(m)
			testkit.Must(s.t, os.Remove(s.at(removalAt(m)+"/"+m.Name)))
		}, false},
		"with all folders gone": {func(s *sealer, m ledger.Outgoing) {
			testkit.Must(s.t, os.RemoveAll(s.at(placeAt(m))))
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSealer(t)
			m := s.deliversFile("data.csv")
			s.update(func(tx *ledger.Tx) error {
				return tx.SetRemovals(s.tray.Name, m.Seq, []ledger.Removal{{Seq: m.Seq,
					Time: time.Now(), Kept: reason.New("removal-begun")}})
			})
			c.left(s, m)
			s.clears(month, proven)
			if isThere := exists(s.at(contentAt(m))); isThere != c.kept {
				t.Errorf("it is there: %t", isThere)
			}
			if exists(s.at(removalAt(m))) {
				t.Error("the private folder stays")
			}
			now, err := s.Message(t.Context(), string(m.ID))
			testkit.Must(t, err)
			if now.Removed.IsZero() != c.kept {
				t.Errorf("removed %v", now.Removed)
			}
		})
	}
}

// setsAside moves content into its private folder, as a removal does.
func (s *sealer) setsAside(m ledger.Outgoing) {
	s.t.Helper()
	testkit.Must(s.t, errors.Join(os.Mkdir(s.at(removalAt(m)), 0o700),
		os.Rename(s.at(contentAt(m)), s.at(removalAt(m)+"/"+m.Name))))
}

// Of random files in shared folders some are edited, failed or under way. The tray then has exactly
// those that are not to be removed.
func TestRemovalFollowsTheModel(t *testing.T) {
	s := newSealer(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	want := map[string]bool{} // paths, and whether they stay
	for round := range 6 {
		var names []string
		for n := range 1 + random.IntN(20) {
			names = append(names, strconv.Itoa(round)+"-"+strconv.Itoa(n))
		}
		list := s.taken(names...)
		var ended []ledger.Outgoing
		for _, m := range list {
			if random.IntN(10) == 0 {
				want[s.at(sourceAt(m))] = true
			} else {
				ended = append(ended, m)
			}
		}
		s.deliver(ended...)
		s.file()
		for _, m := range ended {
			m.State = ledger.Delivered
			at := s.at(contentAt(m))
			if random.IntN(5) == 0 {
				testkit.Must(t, os.WriteFile(at, []byte("edited"), 0o644))
				want[at] = true
			} else {
				want[at] = false
			}
		}
	}
	failed := s.taken("failed")[0]
	s.update(func(tx *ledger.Tx) error {
		return tx.Fail(failed.UID, reason.New("state-failed"), time.Now())
	})
	s.file()
	want[s.at(tray.FailedPart+"/"+string(failed.ID)+"/failed")] = true
	s.clears(month, proven)
	s.clears(month+25*time.Hour, proven)
	for at, stays := range want {
		if exists(at) != stays {
			t.Errorf("%s: stays %t", at, !stays)
		}
	}
	entries, err := os.ReadDir(s.tray.Delivered())
	testkit.Must(t, err)
	for _, e := range entries {
		if isBare(filepath.Join(s.tray.Delivered(), e.Name())) {
			t.Errorf("%s is an empty folder", e.Name())
		}
	}
}
