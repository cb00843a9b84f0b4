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

// ledgerFiles are what SQLite keeps a ledger in.
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

// CopyLedger returns the ledger of an agent that was stopped.
func (s *site) CopyLedger() []byte {
	s.t.Helper()
	content, err := os.ReadFile(s.at("state", "ledger.db"))
	must(s.t, err)
	return content
}

// PutLedgerBack replaces the ledger of an agent that does not run by an older one.
func (s *site) PutLedgerBack(old []byte) {
	s.t.Helper()
	s.LoseLedger()
	must(s.t, os.WriteFile(s.at("state", "ledger.db"), old, 0o600))
}

// pointsOf lists the fault points of one room.
func pointsOf(t *testing.T, room string) []string {
	t.Helper()
	return slices.DeleteFunc(faultPoints(t), func(p string) bool { return !strings.HasPrefix(p, room+"-") })
}

// dropSome puts files of all sizes into the outbox.
func (s *site) dropSome(what string) {
	s.t.Helper()
	for i := range 3 {
		s.Drop(fmt.Sprintf("%s, file %d.csv", what, i), smallFile)
	}
	s.Drop(what+", large.bin", largeFile)
}

// At whatever step of receiving the ledger is lost: what lies in the inbox is known by its records, and nothing comes twice.
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

// The same with a ledger that is put back from an older copy: it forgets what came after it, and believes to be under way
// what has ended.
func TestTheCentreGetsAnOlderLedgerBack(t *testing.T) {
	t.Parallel()
	w, lab, centre := labAndCentre(t)
	lab.dropSome("before the copy")
	centre.Expect(lab, "before the copy, large.bin")
	centre.Stop()
	lab.dropSome("as it is copied")
	centre.Start("SEALPOST_FAULT=inbox-placing")
	centre.Dies()
	centre.Start()
	centre.Stop() // so that all of it is in one file
	old := centre.CopyLedger()
	for _, point := range []string{"inbox-placing", "inbox-renamed", "inbox-placed"} {
		lab.dropSome("before " + point)
		centre.Start("SEALPOST_FAULT=" + point)
		if err := centre.Dies(); !killed(err) {
			t.Fatalf("it was to be killed at %s, and ended with: %v", point, err)
		}
		centre.PutLedgerBack(old)
	}
	centre.Start()
	w.Audit()
}
