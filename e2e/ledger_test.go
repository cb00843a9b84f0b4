//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
)

// ledgerFiles are the files of a ledger in SQLite.
var ledgerFiles = []string{"ledger.db", "ledger.db-wal", "ledger.db-shm"}

// LoseLedger removes the ledger of an agent that does not run.
func (s *site) LoseLedger() {
	s.t.Helper()
	s.forgot = true
	for _, name := range ledgerFiles {
		if err := os.Remove(s.at("state", name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.t.Fatal(err)
		}
	}
}

// CopyLedger returns the ledger of an agent that does not run.
func (s *site) CopyLedger() map[string][]byte {
	s.t.Helper()
	copied := map[string][]byte{}
	for _, name := range ledgerFiles {
		content, err := os.ReadFile(s.at("state", name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		must(s.t, err)
		copied[name] = content
	}
	return copied
}

// PutLedgerBack replaces the ledger of an agent that does not run by an older one.
func (s *site) PutLedgerBack(old map[string][]byte) {
	s.t.Helper()
	s.LoseLedger()
	for name, content := range old {
		must(s.t, os.WriteFile(s.at("state", name), content, 0o600))
	}
}

// PutBackOnly replaces one file of the ledger of an agent that does not run. The others stay.
func (s *site) PutBackOnly(old map[string][]byte, name string) {
	s.t.Helper()
	s.forgot, s.mixed = true, true
	must(s.t, os.WriteFile(s.at("state", name), old[name], 0o600))
}

// pointsOf lists the fault points of one room that a file passes on its ordinary way.
func pointsOf(t *testing.T, room string) []string {
	t.Helper()
	return slices.DeleteFunc(faultPoints(t), func(p string) bool {
		return !strings.HasPrefix(p, room+"-") || asideStories[p] != nil
	})
}

// dropSome puts files of all sizes into the outbox.
func (s *site) dropSome(prefix string) {
	s.t.Helper()
	for i := range 3 {
		s.Drop(fmt.Sprintf("%s, file %d.csv", prefix, i), smallFile)
	}
	s.Drop(prefix+", large.bin", largeFile)
}

// dropMany puts many files of all sizes, with a huge one, into the outbox.
func (s *site) dropMany(prefix string) {
	s.t.Helper()
	for i := range 30 {
		s.Drop(fmt.Sprintf("%s, file %d.csv", prefix, i), smallFile)
	}
	s.Drop(prefix+", large.bin", largeFile)
	s.Drop(prefix+", huge.bin", hugeFile)
}

// The ledger is lost at each step of receiving. The files in the inbox are known by their records,
// and nothing comes twice.
func TestTheCentreLosesItsLedger(t *testing.T) {
	t.Parallel()
	w, lab, centre := labAndCentre(t)
	for _, point := range pointsOf(t, "inbox") {
		centre.Stop()
		lab.dropSome("before " + point)
		centre.Start("SEALPOST_FAULT=" + point)
		if err := centre.Dies(); !killed(err) {
			t.Fatalf("it was to be killed at %s, and ended with: %v", point, err)
		}
		centre.LoseLedger()
		centre.Start()
	}
	w.Audit()
}

// The same happens with a ledger that is put back from an older copy. It has no later rows, and its
// messages that have ended seem to be under way.
func TestTheCentreGetsAnOlderLedgerBack(t *testing.T) {
	t.Parallel()
	w, lab, centre := labAndCentre(t)
	lab.dropSome("before the copy")
	centre.Expect(lab, "before the copy, large.bin")
	centre.Stop()
	lab.dropSome("as it is copied")
	centre.Start("SEALPOST_FAULT=inbox-placing")
	centre.Dies()
	placing := centre.CopyLedger()
	centre.Start()
	centre.Stop()
	old := centre.CopyLedger()
	for _, point := range []string{"inbox-placing", "inbox-renamed", "inbox-placed"} {
		for when, copied := range map[string]map[string][]byte{"at rest": old,
			"while placing": placing} {
			lab.dropSome("before " + point + ", copied " + when)
			centre.Start("SEALPOST_FAULT=" + point)
			if err := centre.Dies(); !killed(err) {
				t.Fatalf("it was to be killed at %s, and ended with: %v", point, err)
			}
			centre.PutLedgerBack(copied)
		}
	}
	centre.Start()
	w.Audit()
}

// The ledger is lost at each step of sending. The files in sending/ go out under the identity that
// they had, and a centre that has one keeps one copy. Its approvals come
// back from their own file.
func TestTheLabLosesItsLedger(t *testing.T) {
	t.Parallel()
	w, lab, _ := labAndCentre(t)
	for _, point := range pointsOf(t, "outbox") {
		lab.Stop()
		lab.dropSome("before " + point)
		if point == "outbox-part" {
			lab.Drop("before the ledger is lost, huge.bin", hugeFile)
		}
		lab.Start("SEALPOST_FAULT=" + point)
		if err := lab.Dies(); !killed(err) {
			t.Fatalf("it was to be killed at %s, and ended with: %v", point, err)
		}
		lab.LoseLedger()
		lab.Start()
	}
	if !lab.Says("the ledger is gone, and a new one begins") {
		t.Error("nobody was told")
	}
	w.Audit()
}

func TestTheLabGetsAnOlderLedgerBack(t *testing.T) {
	t.Parallel()
	w, lab, centre := labAndCentre(t)
	lab.dropSome("before the copy")
	eventually(t, "they are delivered", func() bool {
		return lab.count("delivered") == len(w.drops)
	}, lab.statusText)
	centre.Stop()
	lab.dropSome("as it is copied")
	eventually(t, "the hub has them", func() bool {
		return lab.sum(`SELECT count(*) FROM message JOIN envelope USING (envelope_id) WHERE `+
			`envelope.state = 'published'`) == 4
	}, lab.statusText)
	lab.Stop()
	lab.dropSome("taken as it is copied")
	lab.Start("SEALPOST_FAULT=outbox-moved")
	lab.Dies()
	lab.Start()
	lab.Stop()
	old := lab.CopyLedger()
	centre.Start()
	for _, point := range []string{"outbox-sealed", "outbox-published", "outbox-filed"} {
		lab.dropSome("before " + point)
		lab.Start("SEALPOST_FAULT=" + point)
		if err := lab.Dies(); !killed(err) {
			t.Fatalf("it was to be killed at %s, and ended with: %v", point, err)
		}
		lab.PutLedgerBack(old)
	}
	lab.Start()
	w.Audit()
}

// An older ledger.db is put back beside a newer ledger.db-wal, or the other way round. SQLite alone
// would mix the two without a word.
func TestHalfOfAnOlderLedgerIsPutBack(t *testing.T) {
	t.Parallel()
	for _, who := range []string{"lab", "centre"} {
		for _, file := range ledgerFiles[:2] {
			t.Run(who+" "+file, func(t *testing.T) {
				t.Parallel()
				w, lab, centre := labAndCentre(t)
				s, points := lab, []string{"outbox-published", "outbox-filed"}
				if who == "centre" {
					s, points = centre, []string{"inbox-placing", "inbox-placed"}
				}
				die := func(point string) {
					t.Helper()
					s.Stop()
					lab.dropSome("before " + point)
					s.Start("SEALPOST_FAULT=" + point)
					if err := s.Dies(); !killed(err) {
						t.Fatalf("it was to be killed at %s, and ended with: %v", point, err)
					}
				}
				lab.dropSome("in the beginning")
				eventually(t, "they are delivered",
					func() bool { return lab.count("delivered") == len(w.drops) }, lab.statusText)
				die(points[0])
				old := s.CopyLedger()
				s.Start()
				eventually(t, "they are delivered",
					func() bool { return lab.count("delivered") == len(w.drops) }, lab.statusText)
				if file == "ledger.db" {
					die(points[1])
				} else {
					s.Stop()
				}
				s.PutBackOnly(old, file)
				s.Start()
				if !s.Says("ledger.db and ledger.db-wal were of two times") {
					t.Error("nobody was told")
				}
				w.Audit()
			})
		}
	}
}
