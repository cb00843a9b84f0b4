package ledger

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// copied is a copy of a ledger's files as after a kill, with the ledger's content.
type copied struct {
	name    string
	db, wal []byte // wal is nil if there was none
	holds   map[string]string
}

func (c copied) putDB(t *testing.T, path string) {
	t.Helper()
	write(t, path, c.db)
}

func (c copied) putLog(t *testing.T, path string) {
	t.Helper()
	if c.wal != nil {
		write(t, path+"-wal", c.wal)
	}
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func copyOf(t *testing.T, name, path string, holds map[string]string) copied {
	t.Helper()
	c := copied{name: name, holds: maps.Clone(holds)}
	var err error
	if c.db, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	if c.wal, err = os.ReadFile(path + "-wal"); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return c
}

// content reads everything that history writes.
func content(t *testing.T, l *Ledger) map[string]string {
	t.Helper()
	holds := map[string]string{}
	view(t, l, func(tx *Tx) error {
		return tx.rows("SELECT key, value FROM setting", nil, func(r *sql.Rows) error {
			var k, v string
			err := r.Scan(&k, &v)
			holds[k] = v
			return err
		})
	})
	return holds
}

const copies = 3 // commits of each history

// history opens a ledger, writes commits into it, and copies it at some of them. Copies are made in
// the middle of a log, after a checkpoint, after one that a reader held up, and after a close. The
// size of the rows makes each commit change a few pages of many, so that a mixture of two states
// equals neither.
func history(t *testing.T, path, branch string, commits int) (all []copied) {
	t.Helper()
	l := open(t, path)
	if setAside := l.Aside(); setAside != nil {
		t.Fatalf("%s: set aside: %v", branch, setAside)
	}
	holds := content(t, l)
	for n := range commits {
		key, value := fmt.Sprint("row ", n*7919%300),
			fmt.Sprint(branch, " ", n, strings.Repeat("x", 1500))
		write := func() {
			update(t, l, func(tx *Tx) error { return tx.Set(key, value) })
			holds[key] = value
		}
		if n%40 == 17 { // no checkpoint can finish
			view(t, l, func(*Tx) error { write(); return nil })
		} else {
			write()
		}
		if n%(commits/copies) == 5 {
			all = append(all, copyOf(t, fmt.Sprint(branch, " ", n), path, holds))
		}
	}
	l.Close()
	return append(all, copyOf(t, branch+" closed", path, holds))
}

// Open never mixes two states, for any copies of the database and of its log. It never separates a
// database from its own log.
func TestADatabaseAndALogOfTwoTimesAreNotMixed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	all := history(t, path, "first", 900)
	old := all[len(all)-1]
	all = append(all, history(t, path, "second", 400)...)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	old.putDB(t, path)
	all = append(all, history(t, path, "another way", 400)...) // of an older copy

	opened := func(db, wal copied) (map[string]string, bool) {
		path := filepath.Join(t.TempDir(), "ledger.db")
		db.putDB(t, path)
		wal.putLog(t, path)
		l := open(t, path)
		defer l.Close()
		return content(t, l), l.Aside() != nil
	}
	kept, asides := 0, 0
	for _, db := range all {
		withoutLog, _ := opened(db, copied{})
		for _, wal := range all {
			got, isSetAside := opened(db, wal)
			switch {
			case isSetAside && db.name == wal.name:
				t.Errorf("%s: what belongs together is taken apart", db.name)
			case isSetAside:
				asides++
				if !maps.Equal(got, withoutLog) {
					t.Errorf("the database of %s, without the log of %s, is not itself", db.name,
						wal.name)
				}
			case wal.wal == nil:
				if !maps.Equal(got, withoutLog) {
					t.Errorf("the database of %s is not itself", db.name)
				}
			default:
				kept++
				if !maps.Equal(got, wal.holds) {
					t.Errorf("the database of %s with the log of %s is neither", db.name, wal.name)
				}
			}
		}
	}
	t.Logf("%d copies: %d databases are opened with a log, of %d it is set aside", len(all), kept,
		asides)
	if kept <= len(all)-3 || asides < 50 {
		t.Error("the copies are not of many kinds")
	}
}

func TestADamagedDatabaseWithAForeignLogIsSetAsideToo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	all := history(t, path, "first", 900)
	db, wal := all[len(all)-2].db, all[0].wal
	for at := 4096 * 20; at < len(db); at += 4096 {
		copy(db[at:], bytes.Repeat([]byte{0xa5}, 100))
	}
	write(t, path, db)
	write(t, path+"-wal", wal)
	l := open(t, path)
	if n := len(content(t, l)); n != 0 {
		t.Errorf("the new ledger has %d settings", n)
	}
	setAside := l.Aside()
	if len(setAside) != 2 {
		t.Fatalf("set aside: %v", setAside)
	}
	for i, want := range [][]byte{db, wal} {
		if got, err := os.ReadFile(setAside[i]); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what was there: %v", setAside[i], err)
		}
	}
}

// An earlier version wrote no stamps: its log, left by a kill, is accepted.
func TestALogOfAnEarlierProgramIsBelieved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := migrate(conn); err != nil {
		t.Fatal(err)
	}
	for _, checkpoint := range []string{"", "PRAGMA wal_checkpoint(TRUNCATE)"} {
		if _, err := conn.ExecContext(t.Context(), checkpoint); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.ExecContext(t.Context(), "INSERT OR REPLACE INTO setting VALUES ('k', ?)",
			checkpoint); err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(t.TempDir(), "ledger.db")
		c := copyOf(t, "", path, nil)
		c.putDB(t, to)
		c.putLog(t, to)
		l := open(t, to)
		if got := content(t, l); l.Aside() != nil || got["k"] != checkpoint || len(got) != 1 {
			t.Errorf("it holds %v, set aside: %v", got, l.Aside())
		}
	}
}

// SQLite ignores an invalid or incomplete log, and so does the check.
func TestABrokenLogIsNoForeignLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	all := history(t, path, "first", 900)
	foreign := all[copies-1].wal
	flipped := bytes.Clone(foreign)
	flipped[walHeaderSize+frameSize+100] ^= 1
	for name, wal := range map[string][]byte{
		"whole": foreign, "empty": {}, "short": foreign[:31],
		"header only": foreign[:walHeaderSize], "first frame cut": foreign[:walHeaderSize+1000],
		"no log": bytes.Repeat([]byte{7}, 10000), "first frame damaged": flipped,
	} {
		path := filepath.Join(t.TempDir(), "ledger.db")
		all[0].putDB(t, path)
		write(t, path+"-wal", wal)
		l := open(t, path)
		if set := l.Aside() != nil; set != (name == "whole") {
			t.Errorf("%s: set aside: %t", name, set)
		}
		l.Close()
	}
}

func TestAnUpdateThatChangesNothingWritesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	l := open(t, path)
	update(t, l, func(tx *Tx) error { return tx.Set("a", "b") })
	before := copyOf(t, "", path, nil)
	update(t, l, func(tx *Tx) error {
		_, err := tx.change("UPDATE setting SET value = 'c' WHERE key = 'none'")
		return err
	})
	if after := copyOf(t, "", path, nil); !bytes.Equal(before.wal, after.wal) {
		t.Errorf("the log grew from %d to %d bytes", len(before.wal), len(after.wal))
	}
	update(t, l, func(tx *Tx) error { return tx.Set("a", "c") })
	if after := copyOf(t, "", path, nil); bytes.Equal(before.wal, after.wal) ||
		len(after.wal) == 0 {
		t.Error("nothing is written")
	}
}

// After a failed commit the next stamp follows the last successful one.
func TestStampsFollowEachOther(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	l := open(t, path)
	for range 3 {
		update(t, l, func(tx *Tx) error { return tx.Set("a", "b") })
		update(t, l, func(tx *Tx) error {
			tx.stamps.known, tx.stamps.last = false, 7
			return tx.Set("a", "c")
		})
	}
	wal, err := os.ReadFile(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	r, err := newLogReader(bytes.NewReader(wal))
	if err != nil {
		t.Fatal(err)
	}
	var stamps []int32
	for {
		f, err := r.next()
		if err != nil {
			break
		}
		if f.number == 1 {
			stamps = append(stamps, int32(binary.BigEndian.Uint32(f.data[stampAt:])))
		}
	}
	if len(stamps) < 8 {
		t.Fatalf("%d stamps", len(stamps))
	}
	for i, s := range stamps[len(stamps)-6:] {
		if want := stamps[len(stamps)-6] + int32(i); s != want {
			t.Errorf("stamp %d is %d, want %d", i, s, want)
		}
	}
}

// BenchmarkOneUpdate measures a commit of one update, where the stamp costs most.
func BenchmarkOneUpdate(b *testing.B) {
	l := open(b, filepath.Join(b.TempDir(), "ledger.db"))
	n := 0
	for b.Loop() {
		n++
		if err := l.Update(context.Background(), func(tx *Tx) error {
			return tx.Set("a", fmt.Sprint(n))
		}); err != nil {
			b.Fatal(err)
		}
	}
}
