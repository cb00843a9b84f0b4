package badgerspool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"sealpost/internal/id"
	"sealpost/spool"
)

// TestFlippedBit damages Badger's live log after a kill. Badger silently drops the entries behind
// the damage. The store notices, and its remaining content is complete.
func TestFlippedBit(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{}, realSeams())
	var published []id.Envelope
	for range 30 {
		e := testEnvelope(filler(300))
		must(t, publishAny(t.Context(), s, e, nil))
		published = append(published, e.ID)
	}
	must(t, settleAll(t.Context(), s, "ca_rc_queue", 10))
	logs, err := filepath.Glob(filepath.Join(dir, "badger", "*.mem"))
	must(t, err)
	used := usedBytes(t, logs[len(logs)-1])
	for _, at := range []int{used / 10, used / 3, used / 2, used * 9 / 10, used - 5} {
		t.Run(fmt.Sprintf("byte %d of %d", at, used), func(t *testing.T) {
			copied := filepath.Join(t.TempDir(), "spool")
			must(t, os.CopyFS(copied, os.DirFS(dir)))
			flip(t, filepath.Join(copied, "badger", filepath.Base(logs[len(logs)-1])), at)
			d := mustOpen(t, copied, Options{}, realSeams())
			mustAudit(t, d)
			if d.Incarnation() == s.Incarnation() {
				t.Error("nobody can see that commits are lost")
			}
			ks, err := d.Known(t.Context(), "FL-LAB", published)
			must(t, err)
			lost := 0
			for _, k := range ks {
				if k.State == spool.StateUnknown {
					lost++
				} else if lost > 0 {
					t.Error("something older is lost than something kept")
				}
			}
			t.Logf("%d of %d envelopes are lost", lost, len(published))
			must(t, publishAny(t.Context(), d, testEnvelope(filler(400)), nil))
			mustAudit(t, d)
		})
	}
}

// usedBytes is how far a log has been written.
func usedBytes(t *testing.T, name string) int {
	t.Helper()
	data, err := os.ReadFile(name)
	must(t, err)
	n := len(data)
	for n > 0 && data[n-1] == 0 {
		n--
	}
	return n
}

func flip(t *testing.T, name string, at int) {
	t.Helper()
	data, err := os.ReadFile(name)
	must(t, err)
	data[at] ^= 0x10
	must(t, os.WriteFile(name, data, 0o600))
}

// TestDamagedTable: opening the store checks Badger's tables.
func TestDamagedTable(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{}, realSeams())
	publishMany(t, s, 300, 30)
	must(t, s.Close()) // the log becomes a table
	tables, err := filepath.Glob(filepath.Join(dir, "badger", "*.sst"))
	must(t, err)
	if len(tables) == 0 {
		t.Fatal("there is no table")
	}
	info, err := os.Stat(tables[0])
	must(t, err)
	data, err := os.ReadFile(tables[0])
	must(t, err)
	if !isSoundTable(data) {
		t.Fatal("a sound table is taken for damaged")
	}
	// close together at the end, where the index and the lengths are
	for at := len(data) - 1; at >= 0; at -= 1 + at/200 {
		data[at] ^= 0x10
		if isSoundTable(data) {
			t.Errorf("the flipped byte %d of %d is not noticed", at, len(data))
		}
		data[at] ^= 0x10
	}
	for _, cut := range []int{0, 3, 5, len(data) / 2, len(data) - 1} {
		if isSoundTable(data[:cut]) {
			t.Errorf("a table of %d bytes cut to %d is not noticed", len(data), cut)
		}
	}
	flip(t, tables[0], int(info.Size()/2))
	if _, err = Open(dir, Options{}); !errors.Is(err, errDamaged) {
		t.Fatalf("a damaged table: %v", err)
	}
	flip(t, tables[0], int(info.Size()/2))
	// a crash while it was made
	must(t, os.WriteFile(filepath.Join(dir, "badger", "000099.sst"), make([]byte, 1000), 0o600))
	s = mustOpen(t, dir, Options{}, realSeams())
	mustAudit(t, s)
}
