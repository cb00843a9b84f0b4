package ledger

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"sealpost/internal/id"
)

// trusting returns a ledger in a new folder with a pin and two approvals.
func trusting(t *testing.T) (path string, l *Ledger) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "ledger.db")
	l = open(t, path)
	update(t, l, func(tx *Tx) error {
		return errors.Join(tx.SetPin(Pin{Site: "CA-RC", Identity: "first", RecipientKey: "key",
			Version: 2, Statement: "hash", Seen: day, Compared: day.Add(1e9)}),
			tx.Approve("fl-lab.dat", []id.Site{"CA-RC"}), tx.Approve("fl-lab.log", nil),
			tx.Keep("blocked", "PA-LAB"))
	})
	return path, l
}

// trusted returns the identities and approvals of a ledger.
func trusted(t *testing.T, l *Ledger) (pins map[id.Site]Pin, approvals map[string][]id.Site) {
	t.Helper()
	pins = map[id.Site]Pin{}
	update(t, l, func(tx *Tx) error {
		list, err := tx.Pins()
		for _, p := range list {
			pins[p.Site] = p
		}
		if err == nil {
			approvals, err = tx.Approvals()
		}
		return err
	})
	return pins, approvals
}

func removeLedger(t *testing.T, path string) {
	t.Helper()
	files, err := filepath.Glob(path + "*")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPinsAndApprovalsOutliveTheLedger(t *testing.T) {
	path, l := trusting(t)
	wantPins, wantApprovals := trusted(t, l)
	l.Close()
	for range 2 { // those that are put back are written like others
		removeLedger(t, path)
		l = open(t, path)
		pins, approvals := trusted(t, l)
		if !maps.Equal(pins, wantPins) || !maps.EqualFunc(approvals, wantApprovals,
			slices.Equal[[]id.Site]) || approvals["fl-lab.log"] != nil || l.Recalled() != 4 {
			t.Fatalf("%+v, %v, %d put back", pins, approvals, l.Recalled())
		}
		view(t, l, func(tx *Tx) error {
			if blocked, err := tx.Kept("blocked"); err != nil || blocked != "PA-LAB" {
				t.Errorf("kept %q, %v", blocked, err)
			}
			return nil
		})
		l.Close()
	}
	l = open(t, path)
	if l.Recalled() != 0 {
		t.Errorf("%d put back without need", l.Recalled())
	}
}

func TestAnOlderLedgerGetsItsPinsBack(t *testing.T) {
	path, l := trusting(t)
	l.Close()
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	l = open(t, path)
	update(t, l, func(tx *Tx) error {
		return errors.Join(tx.SetPin(Pin{Site: "CA-RC", Identity: "second", Seen: day}),
			tx.Approve("fl-lab.dat", []id.Site{"SF-RC"}))
	})
	l.Close()
	if err := os.WriteFile(path, old, 0o600); err != nil {
		t.Fatal(err)
	}
	pins, approvals := trusted(t, open(t, path))
	if pins["CA-RC"].Identity != "second" || approvals["fl-lab.dat"][0] != "SF-RC" {
		t.Errorf("%+v, %v", pins, approvals)
	}
}

// A file that is missing, damaged, or of before the newest commit, is written again. It changes
// nothing in the ledger.
func TestAnOldListOfPinsIsNoMemory(t *testing.T) {
	for name, text := range map[string]string{"missing": "", "damaged": "{", "null": "null",
		"older":          `{"version":0,"pins":[],"approvals":{}}`,
		"of another use": `{"version":"x"}`} {
		t.Run(name, func(t *testing.T) {
			path, l := trusting(t)
			l.Close()
			file := filepath.Join(filepath.Dir(path), TrustFile)
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
			if text != "" {
				if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			l = open(t, path)
			if pins, _ := trusted(t, l); pins["CA-RC"].Identity != "first" || l.Recalled() != 0 {
				t.Errorf("%+v, %d put back", pins, l.Recalled())
			}
			l.Close()
			removeLedger(t, path)
			if pins, _ := trusted(t, open(t, path)); pins["CA-RC"].Identity != "first" {
				t.Errorf("afterwards %+v", pins)
			}
		})
	}
}

// A failed update does not reach the file, and a change that could not be written follows later.
func TestTheListOfPinsFollowsCommits(t *testing.T) {
	path, l := trusting(t)
	file := filepath.Join(filepath.Dir(path), TrustFile)
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	failed := errors.New("no")
	if err := l.Update(t.Context(), func(tx *Tx) error {
		return errors.Join(tx.Approve("fl-lab.dat", []id.Site{"XX-RC"}), failed)
	}); !errors.Is(err, failed) {
		t.Fatal(err)
	}
	if now, err := os.ReadFile(file); err != nil || string(now) != string(before) {
		t.Errorf("after a failed update: %s, %v", now, err)
	}

	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(file, "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	update(t, l, func(tx *Tx) error { return tx.Approve("fl-lab.dat", []id.Site{"SF-RC"}) })
	if err := os.RemoveAll(file); err != nil {
		t.Fatal(err)
	}
	update(t, l, func(tx *Tx) error { return tx.Set("any", "value") })
	l.Close()
	removeLedger(t, path)
	if _, approvals := trusted(t, open(t, path)); len(approvals["fl-lab.dat"]) != 1 ||
		approvals["fl-lab.dat"][0] != "SF-RC" {
		t.Errorf("%v", approvals)
	}
}

// A comparison is of one identity. A program of an earlier version changes the pin alone.
func TestAComparisonIsOfOneIdentity(t *testing.T) {
	_, l := trusting(t)
	update(t, l, func(tx *Tx) error { return tx.exec("UPDATE pin SET identity = 'second'") })
	if pins, _ := trusted(t, l); pins["CA-RC"].Identity != "second" ||
		!pins["CA-RC"].Compared.IsZero() {
		t.Errorf("%+v", pins["CA-RC"])
	}
}
