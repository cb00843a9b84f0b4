package inbox

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sealpost/agent/ledger"
	"sealpost/internal/id"
)

func inboxAt(t *testing.T) *Inbox {
	t.Helper()
	return inboxIn(t, t.TempDir())
}

func inboxIn(t *testing.T, dir string) *Inbox {
	t.Helper()
	l, err := ledger.Open(filepath.Join(t.TempDir(), "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return New(Options{Dir: dir, Ledger: l, Log: slog.New(slog.DiscardHandler)})
}

// entered opens the folders of an inbox until the test ends.
func entered(t *testing.T, b *Inbox) *folders {
	t.Helper()
	f, err := b.enter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.close)
	return f
}

// records returns the path of the records of one sender's messages.
func (b *Inbox) records(sender string) string {
	return filepath.Join(b.cfg.Dir, ownDir, sender)
}

func (b *Inbox) temp() string { return filepath.Join(b.cfg.Dir, tempDir) }

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

const message = id.Message("FL-LAB_DAT_20251008_001")

func recordOf(t *testing.T, uid id.UID) []byte {
	t.Helper()
	text, err := json.Marshal(Record{Message: message, UID: uid, Sender: "FL-LAB"})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestARecordIsFoundByItsIdentity(t *testing.T) {
	b := inboxAt(t)
	f := entered(t, b)
	first, second, third := id.Random128[id.UID](), id.Random128[id.UID](), id.Random128[id.UID]()
	write(t, filepath.Join(b.records("FL-LAB"), string(message)+".json"), recordOf(t, first))
	write(t, filepath.Join(b.records("FL-LAB"), string(message)+" "+string(second)+".json"),
		recordOf(t, second))
	for uid, want := range map[id.UID]bool{first: true, second: true, third: false} {
		if r, found, err := f.findRecord("FL-LAB", message, uid); err != nil || found != want ||
			(found && r.UID != uid) {
			t.Errorf("%s: %+v, %t, %v", uid, r, found, err)
		}
	}
	if _, found, err := f.findRecord("MA-LAB", message, first); err != nil || found {
		t.Errorf("of another sender: %t, %v", found, err)
	}
}

// A file in the place of a record that is not the message's own is ignored.
func TestInvalidRecords(t *testing.T) {
	uid := id.Random128[id.UID]()
	for name, make := range map[string]func(*testing.T, string){
		"folder":  func(t *testing.T, p string) { write(t, filepath.Join(p, "x"), nil) },
		"no JSON": func(t *testing.T, p string) { write(t, p, []byte("{")) },
		"too large": func(t *testing.T, p string) {
			write(t, p, append(recordOf(t, uid), strings.Repeat(" ", maxRecord)...))
		},
		"another's": func(t *testing.T, p string) {
			write(t, p, recordOf(t, id.Random128[id.UID]()))
		},
	} {
		b := inboxAt(t)
		f := entered(t, b)
		make(t, filepath.Join(b.records("FL-LAB"), string(message)+".json"))
		if _, found, err := f.findRecord("FL-LAB", message, uid); err != nil || found {
			t.Errorf("%s: %t, %v", name, found, err)
		}
	}
}

// list writes the list of an envelope's records, and returns its folder.
func list(t *testing.T, b *Inbox, e string, records ...[]byte) string {
	t.Helper()
	dir := filepath.Join(b.temp(), e)
	var text []byte
	for i, r := range records {
		text = fmt.Appendf(text, "\"%d\"\n%s\n", i, r)
	}
	write(t, filepath.Join(dir, listFile), text)
	return dir
}

// A listed record without its content counts as placed in the folder of an attempt. It does not in
// a folder that is being removed.
func TestRestoreRecords(t *testing.T) {
	b := inboxAt(t)
	f := entered(t, b)
	placed, waiting, removed := id.Random128[id.UID](), id.Random128[id.UID](),
		id.Random128[id.UID]()
	e := string(id.Random128[id.Envelope]())
	write(t, filepath.Join(list(t, b, e, recordOf(t, placed), recordOf(t, waiting)), "1"),
		[]byte("content"))
	list(t, b, e+trashSuffix, recordOf(t, removed))
	for range 2 { // the second time it exists already
		if err := b.restoreRecords(f, f.temp, ""); err != nil {
			t.Fatal(err)
		}
		for uid, want := range map[id.UID]bool{placed: true, waiting: false, removed: false} {
			if _, found, err := f.findRecord("FL-LAB", message, uid); err != nil || found != want {
				t.Errorf("%s: %t, %v", uid, found, err)
			}
		}
		if records, err := os.ReadDir(b.records("FL-LAB")); err != nil || len(records) != 1 {
			t.Errorf("records: %v, %v", records, err)
		}
	}
	if err := f.discardAll(f.temp, "", nil); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(b.temp()); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// A crash may leave only the name or a part of a record on the disk: that is written again. Other
// files stay.
func TestCutRecord(t *testing.T) {
	uid := id.Random128[id.UID]()
	whole := &placement{Received: ledger.Received{Path: filepath.Join("FL-LAB", "data.csv")}}
	if err := whole.setRecord(Record{Message: message, UID: uid, Sender: "FL-LAB"}); err != nil {
		t.Fatal(err)
	}
	text := string(whole.text)
	for name, c := range map[string]struct {
		left  string
		stays bool
	}{
		"its name only":            {"", false},
		"its length, and no block": {strings.Repeat("\x00", len(text)), false},
		"its beginning":            {text[:len(text)/2], false},
		"all of it":                {text, false},
		"another record":           {string(recordOf(t, id.Random128[id.UID]())), true},
		"somebody's file":          {"1;2", true},
		"more than it":             {text + " ", true},
	} {
		b := inboxAt(t)
		f := entered(t, b)
		first := filepath.Join(b.records("FL-LAB"), string(message)+".json")
		write(t, first, []byte(c.left))
		list(t, b, string(id.Random128[id.Envelope]()), whole.text)
		if err := b.restoreRecords(f, f.temp, ""); err != nil {
			t.Fatal(err)
		}
		want, at := text, first
		if c.stays {
			want, at = c.left, filepath.Join(b.records("FL-LAB"), string(message)+" "+string(uid)+
				".json")
		}
		if have, err := os.ReadFile(first); err != nil || string(have) != want {
			t.Errorf("%s: %q, %v", name, have, err)
		}
		if r, err := readRecord(f.records["FL-LAB"], filepath.Base(at)); err != nil ||
			r.UID != uid {
			t.Errorf("%s: %s holds %+v, %v", name, at, r, err)
		}
	}
}

// The last entry of a record counts, and a cut one is ignored.
func TestAListMayEndInWhatIsNoRecord(t *testing.T) {
	b := inboxAt(t)
	entered := entered(t, b)
	first, second := id.Random128[id.UID](), id.Random128[id.UID]()
	for _, end := range []string{"", `"0"`, "\"0\"\n{\"message_id\"", "\x00\x00\x00"} {
		dir := list(t, b, string(id.Random128[id.Envelope]()), recordOf(t, first))
		f, err := os.OpenFile(filepath.Join(dir, listFile), os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprintf(f, "\"0\"\n%s\n%s", recordOf(t, second), end); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		held, err := entered.envelope(filepath.Base(dir))
		if err != nil {
			t.Fatal(err)
		}
		if have, err := b.readList(held); err != nil || len(have) != 1 || have["0"].UID != second {
			t.Errorf("%q: %+v, %v", end, have, err)
		}
	}
}
