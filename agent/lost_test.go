package agent_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// A lab without its ledger and its numbers gives no content the identity of another one. They have
// the same name, size and time. Messages under way keep their own.
func TestALostStateReusesNoIdentity(t *testing.T) {
	t.Parallel()
	_, lab, centre := labAndCentre(t)
	at := time.Now().Add(-time.Hour)
	drop := func(content string) {
		t.Helper()
		made := filepath.Join(t.TempDir(), "result.dat")
		must(t, os.WriteFile(made, []byte(content), 0o644))
		must(t, os.Chtimes(made, at, at))
		must(t, os.Rename(made, filepath.Join(lab.dir, "outbox", "result.dat")))
	}
	restore := func() { // from the backup of for-admins.md
		t.Helper()
		lab.stop()
		files, err := filepath.Glob(filepath.Join(lab.dir, "state", "ledger.db*"))
		must(t, err)
		for _, file := range append(files, filepath.Join(lab.dir, "state", "numbers.json")) {
			must(t, os.Remove(file))
		}
		lab.start()
	}
	lab.stop()
	lab.start() // without a message: numbers begin at one all the same
	drop("first")
	eventually(t, "it is delivered", func() bool { return len(lab.tray("delivered")) == 1 })
	first := lab.status().Outbox.Latest[0]
	if !bytes.HasSuffix([]byte(first.ID), []byte("_001")) {
		t.Errorf("the first message is %s", first.ID)
	}
	must(t, os.RemoveAll(filepath.Join(lab.dir, "delivered"))) // as a user may
	must(t, os.Mkdir(filepath.Join(lab.dir, "delivered"), 0o777))

	restore()
	centre.stop()
	drop("other")
	eventually(t, "it is published", func() bool {
		m := lab.status().Outbox.Latest
		return len(m) == 1 && m[0].State == "published"
	})
	second := lab.status().Outbox.Latest[0]
	restore()
	eventually(t, "it is taken up again", func() bool {
		m := lab.status().Outbox.Latest
		return len(m) == 1 && m[0].ID == second.ID && m[0].UID == second.UID
	})
	drop("third")
	centre.start()
	eventually(t, "both are delivered", func() bool { return len(lab.tray("delivered")) == 2 })
	if failed := lab.tray("failed"); len(failed) > 0 {
		t.Errorf("failed: %v", failed)
	}
	var contents []string
	for _, path := range centre.inInbox() {
		contents = append(contents, string(read(t, centre.dir, "inbox", path)))
	}
	slices.Sort(contents)
	if !slices.Equal(contents, []string{"first", "other", "third"}) {
		t.Errorf("the centre has %q", contents)
	}
	if refused := centre.status().Inbox.Refused; len(refused) > 0 {
		t.Errorf("refused: %+v", refused)
	}
}
