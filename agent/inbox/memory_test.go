package inbox

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sealpost/internal/id"
)

func inboxAt(t *testing.T) *Inbox {
	t.Helper()
	b, err := New(Options{Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

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
	first, second, third := id.Random128[id.UID](), id.Random128[id.UID](), id.Random128[id.UID]()
	write(t, filepath.Join(b.records("FL-LAB"), string(message)+".json"), recordOf(t, first))
	write(t, filepath.Join(b.records("FL-LAB"), string(message)+" "+string(second)+".json"), recordOf(t, second))
	for uid, want := range map[id.UID]bool{first: true, second: true, third: false} {
		if r, found, err := b.remembered("FL-LAB", message, uid); err != nil || found != want || (found && r.UID != uid) {
			t.Errorf("%s: %+v, %t, %v", uid, r, found, err)
		}
	}
	if _, found, err := b.remembered("MA-LAB", message, first); err != nil || found {
		t.Errorf("of another sender: %t, %v", found, err)
	}
}

func TestWhatIsNoRecordIsPassedOver(t *testing.T) {
	uid := id.Random128[id.UID]()
	for name, make := range map[string]func(*testing.T, string){
		"folder":    func(t *testing.T, p string) { write(t, filepath.Join(p, "x"), nil) },
		"no JSON":   func(t *testing.T, p string) { write(t, p, []byte("{")) },
		"too large": func(t *testing.T, p string) { write(t, p, append(recordOf(t, uid), strings.Repeat(" ", maxRecord)...)) },
		"another's": func(t *testing.T, p string) { write(t, p, recordOf(t, id.Random128[id.UID]())) },
	} {
		b := inboxAt(t)
		make(t, filepath.Join(b.records("FL-LAB"), string(message)+".json"))
		if _, found, err := b.remembered("FL-LAB", message, uid); err != nil || found {
			t.Errorf("%s: %t, %v", name, found, err)
		}
	}
}

// A record without its content is believed in the folder of an envelope, and nowhere where things are removed.
func TestARecordFollowsItsContentAndIsNotMadeByRemoving(t *testing.T) {
	b := inboxAt(t)
	placed, waiting, gone := id.Random128[id.UID](), id.Random128[id.UID](), id.Random128[id.UID]()
	e := string(id.Random128[id.Envelope]())
	write(t, filepath.Join(b.temp(), e, "0.json"), recordOf(t, placed))
	write(t, filepath.Join(b.temp(), e, "1.json"), recordOf(t, waiting))
	write(t, filepath.Join(b.temp(), e, "1"), []byte("content"))
	write(t, filepath.Join(b.temp(), e+goneSuffix, "0.json"), recordOf(t, gone))
	if err := os.MkdirAll(b.records("FL-LAB"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := b.bringRecords(); err != nil {
		t.Fatal(err)
	}
	for uid, want := range map[id.UID]bool{placed: true, waiting: false, gone: false} {
		if _, found, err := b.remembered("FL-LAB", message, uid); err != nil || found != want {
			t.Errorf("%s: %t, %v", uid, found, err)
		}
	}
	if err := discard(b.temp()); err != nil {
		t.Fatal(err)
	}
	if left, err := filepath.Glob(filepath.Join(b.cfg.Dir, ".sealpost", "tmp*")); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
