package outbox

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"sealpost/agent/ledger"
	"sealpost/agent/tray"
	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// TestClaimsStopWithoutMoves bounds the memory for files that stay in outbox/.
func TestClaimsStopWithoutMoves(t *testing.T) {
	s := newSealer(t)
	put(t, s.tray.Outbox(), "one more")
	f := newFinder(s.tray)
	for i := range maxStuck {
		s.tray.setStuck(ledger.Outgoing{Name: fmt.Sprint(i)}, reason.New("held-from-moving"))
	}
	ready, why := f.examine(opened(t, s.tray), "one more")
	if ready != nil || why != reason.New("others-cannot-move") {
		t.Errorf("it is claimed: %t, %q", ready != nil, why)
	}
	s.tray.setStuck(ledger.Outgoing{Name: "7"}, reason.Reason{})
	if ready, why := f.examine(opened(t, s.tray), "one more"); ready == nil {
		t.Errorf("it is not claimed when there is room: %q", why)
	}
}

// TestAnUnfinishedCopy removes the copies of a resend that was killed, and nothing of a user's.
func TestAnUnfinishedCopy(t *testing.T) {
	s := newSealer(t)
	folder := filepath.Join(s.tray.Outbox(), "@CA-RC")
	put(t, folder, tray.CopyName())
	put(t, filepath.Join(folder, tray.CopyName()), "in a folder")
	put(t, folder, "~$report.tmp")
	put(t, folder, "data.csv")
	if err := s.newTray(s.tray.Tray, s.tray.log).prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) != 2 || entries[0].Name() != "data.csv" ||
		entries[1].Name() != "~$report.tmp" {
		t.Errorf("in the folder: %v, %v", entries, err)
	}
}

// TestAWaitEndsWithItsHub asks a new hub for a route that the one before did not have.
func TestAWaitEndsWithItsHub(t *testing.T) {
	s := newSealer(t)
	const address = "fl-lab.dat"
	known := func() (d *decision) {
		s.desk.tell(func() { d = s.desk.known(address) })
		return d
	}
	s.desk.tell(func() {
		s.desk.routes.by[address] = &decision{blocked: reason.Text("waiting"),
			proposed: []id.Site{"CA-RC"}, until: time.Now().Add(time.Hour)}
	})
	if known() == nil {
		t.Fatal("it does not wait")
	}
	s.HubIsNew("another")
	if d := known(); d != nil {
		t.Errorf("the hub is not asked: %+v", d)
	}
	if why := s.blocked(t.Context()).addresses; len(why) > 0 {
		t.Errorf("the status says %v", why)
	}
	s.desk.tell(func() {
		if sites := s.desk.routes.sites(); len(sites) != 1 {
			t.Errorf("the sites to which it led are forgotten: %v", sites)
		}
	})
}

// TestARefusedAddressWaitsAlone distinguishes refusals of one address from refusals of all.
func TestARefusedAddressWaitsAlone(t *testing.T) {
	for code, want := range map[api.Code]bool{
		api.CodeTooLarge: true, api.CodeInternal: true, api.CodeInvalid: true,
		api.CodeBusy: false, api.CodeFull: false, api.CodeNotAdmitted: false,
		api.CodeExpired: false,
	} {
		if got := isOfAddress(fmt.Errorf("resolve: %w", &api.Error{Code: code})); got != want {
			t.Errorf("%s: of the address alone: %t", code, got)
		}
	}
	if isOfAddress(os.ErrDeadlineExceeded) {
		t.Error("a line that is cut is taken for a refusal")
	}
}
