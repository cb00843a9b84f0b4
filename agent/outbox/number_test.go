package outbox

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"sealpost/agent/ledger"
	"sealpost/agent/tray"
	"sealpost/internal/id"
)

// A number that a folder shows is never given again, in whichever tray the folder lies. This holds
// also for a tray that was away at first.
func TestNumbersOfFolders(t *testing.T) {
	day := time.Date(2025, 10, 8, 12, 0, 0, 0, time.UTC)
	o := &Outbox{site: "FL-LAB"}
	for _, kind := range []string{"DAT", "DAT", "RPT"} {
		dir := t.TempDir()
		o.trays = append(o.trays, &box{Tray: Tray{Folders: Folders{dir}, Kind: kind,
			FirstNumber: 7}, files: &tray.Tray{Dir: dir}, o: o})
	}
	data, more, reports := o.trays[0], o.trays[1], o.trays[2]
	mkdir := func(dir string, number int64) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(dir,
			string(id.FormatMessage("FL-LAB", "DAT", day, number))), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(at time.Time, data int64) {
		t.Helper()
		for i, want := range []int64{data, data, 7} {
			if have := o.trays[i].firstNumber(at); have != want {
				t.Errorf("tray %d begins at %d, not at %d", i, have, want)
			}
		}
	}
	for _, box := range []*box{data, reports} {
		if err := box.makeParts(); err != nil {
			t.Fatal(err)
		}
	}
	mkdir(data.Sending(), 5)
	expect(day, 7)
	if err := more.makeParts(); err != nil {
		t.Fatal(err)
	}
	for dir, number := range map[string]int64{more.Failed(): 9, more.Delivered(): 1200,
		more.Sending(): 8, reports.Delivered(): 4000} {
		mkdir(dir, number)
	}
	for _, name := range []string{"FL-LAB_DAT_20251008_", "FL-LAB_DAT_20251008_9999 (copy)",
		"FL-LAB_DAT_20251008_9999999999999999", "x"} {
		if err := os.Mkdir(filepath.Join(more.Delivered(), name), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	expect(day, 1201)
	if highest, err := opened(t, &box{files: &tray.Tray{Dir: groups(t)}, o: o}).highestIn("",
		"FL-LAB_DAT_20251008_"); highest != 1500 || err != nil {
		t.Errorf("the highest number of groups is %d: %v", highest, err)
	}
	expect(day.Add(24*time.Hour), 7)
}

// groups is a folder with those of groups.
func groups(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"FL-LAB_DAT_20251008_001-204", "FL-LAB_DAT_20251008_1400-1500",
		"FL-LAB_DAT_20251008_1600-", "FL-LAB_DAT_20251007_1-9000"} {
		mkdir(t, filepath.Join(dir, name))
	}
	return dir
}

// A folder with a very high number does not raise the numbers of later messages. Those would not be
// taken up again.
func TestAFolderWithAVeryHighNumber(t *testing.T) {
	for _, number := range []int64{ledger.MaxShown - 1, ledger.MaxShown, 999_999_999_999} {
		s := newSealer(t)
		today := id.FormatMessage("FL-LAB", "DAT", time.Now(), number)
		mkdir(t, s.at("delivered/"+string(today)))
		if number >= ledger.MaxShown {
			put(t, s.at("sending/"+string(today)), "planted")
		}
		if err := s.tray.adopt(t.Context()); err != nil {
			t.Fatal(err)
		}
		if told, high := len(s.leftAlone()), number >= ledger.MaxShown; high != (told == 1) {
			t.Errorf("%d: users are told of %d folders", number, told)
		}
		m := s.taken("data.csv")[0]
		copied, err := os.ReadFile(filepath.Join(s.cfg.State, "numbers.json"))
		if err != nil {
			t.Fatal(err)
		}
		s.forgetBut(copied)
		if err := s.tray.adopt(t.Context()); err != nil {
			t.Fatal(err)
		}
		if state := s.state(m); state != ledger.Claimed {
			t.Errorf("%s is not taken up again: %v", m.ID, s.leftAlone())
		}
	}
}
