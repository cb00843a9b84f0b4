package ledger

import (
	"context"
	"fmt"
	"math/rand/v2"
)

// SQLite takes the frames of a write-ahead log by what stands in the log alone, and puts them over whatever database lies
// beside it. So that a log and a database of two times can be told apart (pair.go), each commit numbers itself: its stamp
// stands in the header of the database's first page, as SQLite's application_id, and therefore in the log once per commit,
// and in the database file from the checkpoint on. A stamp follows the one before it, but after each Open, where they go on
// from a random place: copies of a ledger that go different ways share no stamps behind the copy.
const stampAt = 68 // of its four bytes in a database's header

// stamps is the writer's memory of the newest commit's stamp.
type stamps struct {
	last    int32
	known   bool
	changes int64 // SQLite's count of changed rows, as of the newest commit
}

// migrated brings the schema up to date and begins a new run of stamps. No checkpoint comes in between: the first commit
// names itself after the one in the database, holds nothing else, and only the second begins the new run.
func (tx *Tx) migrated() error {
	var pages int // of the log, after which it is put into the database
	if err := tx.row("PRAGMA wal_autocheckpoint", nil, &pages); err != nil {
		return err
	}
	if err := tx.exec("PRAGMA wal_autocheckpoint = 0"); err != nil {
		return err
	}
	if err := migrate(tx.conn); err != nil {
		return err
	}
	if err := tx.readStamp(); err != nil {
		return err
	}
	for _, stamp := range []int32{tx.stamps.last + 1, int32(rand.Uint32())} {
		if err := tx.setStamp(stamp); err != nil { // a commit by itself
			return err
		}
		tx.stamps.last = stamp
	}
	tx.stamps.known = true
	return tx.exec(fmt.Sprintf("PRAGMA wal_autocheckpoint = %d", pages))
}

func (tx *Tx) readStamp() error {
	return tx.row("PRAGMA application_id", nil, &tx.stamps.last)
}

// setStamp is not prepared for the next time: there is none for this text.
func (tx *Tx) setStamp(stamp int32) error {
	_, err := tx.conn.ExecContext(context.Background(), fmt.Sprintf("PRAGMA application_id = %d", stamp))
	return err
}

// commitStamped ends the writer's transaction. One that has changed nothing writes nothing.
func (tx *Tx) commitStamped() error {
	s := tx.stamps
	before := s.changes
	if err := tx.row("SELECT total_changes()", nil, &s.changes); err != nil {
		return err
	}
	if s.changes == before {
		return tx.exec("COMMIT")
	}
	if !s.known {
		if err := tx.readStamp(); err != nil {
			return err
		}
	}
	s.known = false // until it is certain
	if err := tx.setStamp(s.last + 1); err != nil {
		return err
	}
	if err := tx.exec("COMMIT"); err != nil {
		return err
	}
	s.last, s.known = s.last+1, true
	return nil
}
