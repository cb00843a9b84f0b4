package ledger

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"sealpost/internal/id"
)

func claimAt(t *testing.T, l *Ledger, at time.Time) id.Message {
	t.Helper()
	m := Outgoing{UID: id.Random128[id.UID](), Kind: "DAT", Name: "a", Address: "x", Claimed: at}
	update(t, l, func(tx *Tx) error { return claimOne(tx, &m, claiming(1)) })
	return m.ID
}

func TestNumbersOutliveTheLedger(t *testing.T) {
	dir := t.TempDir()
	l := open(t, filepath.Join(dir, "ledger.db"))
	for range 3 {
		claimAt(t, l, day)
	}
	m := Outgoing{UID: "u", ID: "FL-LAB_DAT_20251008_017", Kind: "DAT", Day: "20251008", Number: 17,
		Name: "a", Address: "x", Claimed: day}
	for _, want := range []bool{true, false} {
		update(t, l, func(tx *Tx) error {
			if added, err := tx.Adopt(&m); err != nil || added != want {
				t.Errorf("adopted %t, %v", added, err)
			}
			return nil
		})
	}
	l.Close()
	lost, err := filepath.Glob(filepath.Join(dir, "ledger.db*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range lost {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	if got := claimAt(t, open(t, filepath.Join(dir, "ledger.db")),
		day); got != "FL-LAB_DAT_20251008_018" {
		t.Errorf("after 017 comes %s", got)
	}
}

func TestADamagedListOfNumbersIsNoObstacle(t *testing.T) {
	for _, text := range []string{"", "{", "null", `{"20251008 DAT": "x"}`} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, numbersFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := claimAt(t, open(t, filepath.Join(dir, "ledger.db")),
			day); got != "FL-LAB_DAT_20251008_001" {
			t.Errorf("with %q the first is %s", text, got)
		}
	}
}

func TestNumbersOfOldDaysAreForgotten(t *testing.T) {
	dir := t.TempDir()
	l := open(t, filepath.Join(dir, "ledger.db"))
	for i := range maxDays + 10 {
		claimAt(t, l, day.AddDate(0, 0, i))
	}
	l.Close()
	n := openNumbers(filepath.Join(dir, "ledger.db"))
	if len(n.highest) != 2*maxDays || n.highest[numberKey("DAT", "20251008")] != 0 ||
		n.highest[numberKey("DAT", day.AddDate(0, 0, maxDays+9).Format("20060102"))] != 1 {
		t.Errorf("kept: %v", n.highest)
	}
}

func TestAnOlderCopyIsKnownByItsNumbers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	expect := func(l *Ledger, want bool) {
		t.Helper()
		update(t, l, func(tx *Tx) error {
			if older, err := tx.IsOlder("FL-LAB"); older != want || err != nil {
				t.Errorf("older %t, %v", older, err)
			}
			return nil
		})
	}
	l := open(t, path)
	expect(l, false)
	claimAt(t, l, day)
	l.Close()
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	l = open(t, path)
	expect(l, false)
	claimAt(t, l, day)
	expect(l, false)
	l.Close()
	if err := os.WriteFile(path, old, 0o600); err != nil {
		t.Fatal(err)
	}
	expect(open(t, path), true)
}

// Without the file of numbers all kinds of a day go on high, also after a restart. The next day
// begins at one.
func TestLostNumbersGoOnHigh(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	l := open(t, path)
	update(t, l, func(tx *Tx) error {
		tx.ResumeNumbers(day)
		return nil
	})
	l.Close()
	l = open(t, path)
	update(t, l, func(tx *Tx) error {
		tx.ResumeNumbers(day) // the file is there now
		if older, err := tx.IsOlder("FL-LAB"); older || err != nil {
			t.Errorf("without a message the ledger is older: %v, %v", older, err)
		}
		return nil
	})
	number := func(at time.Time, kind string) int64 {
		m := Outgoing{UID: id.Random128[id.UID](), Kind: kind, Name: "a", Address: "x", Claimed: at}
		update(t, l, func(tx *Tx) error { return claimOne(tx, &m, claiming(1)) })
		return m.Number
	}
	first := number(day, "DAT")
	if first <= 10_000 || first > 100_000 || number(day, "DAT") != first+1 ||
		number(day, "IMG") != first || number(day.Add(-24*time.Hour), "DAT") != first {
		t.Errorf("the first number is %d", first)
	}
	if got := number(day.Add(24*time.Hour), "DAT"); got != 1 {
		t.Errorf("the next day begins at %d", got)
	}
}
